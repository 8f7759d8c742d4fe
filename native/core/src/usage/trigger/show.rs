//! A trigger as JSON.

use super::Trigger;
use super::spec::ACTIONS;
use super::state::Base;
use super::wire::write_json_text;
use std::fmt::{Display, Write};

const METHODS: [&str; 2] = ["POST", "GET"];
const FORMS: [&str; 2] = ["form", "standard"];

impl Trigger {
    /// `current`: what its values are compared with now.
    pub(super) fn write_json(&self, out: &mut String, current: i128) {
        let (spec, state) = (&self.spec, &self.state);
        let number = |value: i128| quoted(&spec.by.text(value));
        let base = match state.base {
            Base::Known(base) if spec.relative => Some(base),
            _ => None,
        };
        out.push_str(r#"{"sid":"UT"#);
        for byte in self.sid {
            let _ = write!(out, "{byte:02x}");
        }
        let _ = write!(
            out,
            r#"","account":"{}","category":"{}""#,
            spec.account, spec.category
        );
        let tag = (!spec.tag.is_empty()).then(|| quoted(&spec.tag));
        field(out, "tag", &or_null(tag));
        field(out, "by", &quoted(spec.by.name()));
        field(out, "value", &number(spec.value));
        field(out, "relative", &spec.relative);
        field(out, "base", &or_null(base.map(number)));
        let thresholds: Vec<String> = spec.thresholds.iter().map(|value| number(*value)).collect();
        field(
            out,
            "thresholds",
            &format_args!("[{}]", thresholds.join(",")),
        );
        field(out, "step", &or_null(spec.step.map(number)));
        field(out, "recurring", &quoted(spec.recurring.name()));
        field(out, "windowMs", &or_null(spec.window_ms));
        field(out, "rearmBelow", &or_null(spec.rearm_below.map(number)));
        field(out, "everyN", &spec.every_n);
        self.write_consequences(out);
        field(out, "subAccounts", &spec.sub_accounts);
        field(out, "currentValue", &number(current));
        field(out, "firedMs", &or_null(state.last.map(|last| last.0)));
        field(
            out,
            "firedValue",
            &or_null(state.last.map(|last| number(last.1))),
        );
        field(out, "firings", &state.firings);
        field(out, "skipped", &state.skipped);
        field(out, "arming", &state.arming);
        field(out, "createdMs", &state.created_ms);
        field(out, "updatedMs", &state.updated_ms);
        out.push('}');
    }

    fn write_consequences(&self, out: &mut String) {
        out.push_str(r#","callbacks":["#);
        for (at, callback) in self.spec.callbacks.iter().enumerate() {
            out.push_str(if at > 0 { r#",{"url":"# } else { r#"{"url":"# });
            write_json_text(out, &callback.url);
            field(
                out,
                "method",
                &quoted(METHODS[usize::from(callback.method)]),
            );
            field(out, "form", &quoted(FORMS[usize::from(callback.form)]));
            out.push('}');
        }
        out.push_str(r#"],"action":"#);
        match self.spec.action {
            Some(action) => {
                let _ = write!(out, r#"{{"kind":"{}""#, ACTIONS[usize::from(action.kind)]);
                field(out, "number", &or_null(action.number));
                field(out, "code", &or_null(action.code));
                out.push('}');
            }
            None => out.push_str("null"),
        }
        out.push_str(r#","friendlyName":"#);
        match &self.spec.friendly_name {
            Some(name) => write_json_text(out, name),
            None => out.push_str("null"),
        }
    }
}

fn field(out: &mut String, name: &str, value: &dyn Display) {
    let _ = write!(out, r#","{name}":{value}"#);
}

/// Of text that JSON leaves as it is.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn or_null(value: Option<impl Display>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}
