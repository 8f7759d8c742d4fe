//! What operators ask: the keys, the busiest of them, and why somebody has to wait.

use super::key::Key;
use super::line::Line;
use super::{Fatal, Gate, KEY, RESOURCE, TENANT};
use crate::exchange::{TopBy, decode_gate_explain, decode_gate_list, decode_gate_top};
use crate::limits::{GATE_ITEMS, GATE_KEYS_LOOKED_AT};
use std::fmt::Write;

/// Keys of a line that are shown.
const QUEUE_SHOWN: usize = 32;

impl Gate {
    pub(super) fn list_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let asked = decode_gate_list(bytes)?;
        let limit = (asked.limit as usize).clamp(1, GATE_ITEMS);
        let first = asked.cursor.parse::<usize>().unwrap_or(0);
        let end = (first + GATE_KEYS_LOOKED_AT).min(self.keys.len());
        let mut out = String::from(r#"{"items":["#);
        let (mut at, mut shown) = (first, 0);
        while at < end && shown < limit {
            let key = &self.keys[at];
            at += 1;
            if key.is_free() {
                continue;
            }
            let of = &self.resources[key.resource as usize].name;
            let by = &self.tenants[key.tenant as usize].name;
            let fits = asked.resource.is_none_or(|name| name.as_bytes() == &**of)
                && asked.tenant.is_none_or(|name| name.as_bytes() == &**by);
            if fits {
                self.write_item(&mut out, key, shown > 0);
                shown += 1;
            }
        }
        if at < self.keys.len() {
            let _ = write!(out, r#"],"cursor":"{at}"}}"#);
        } else {
            out.push_str(r#"],"cursor":null}"#);
        }
        self.reply_json(request, &out);
        Ok(())
    }

    pub(super) fn top_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let asked = decode_gate_top(bytes)?;
        let limit = (asked.limit as usize).clamp(1, GATE_ITEMS);
        let measure = |key: &Key| match asked.by {
            TopBy::Used => u64::from(self.table.read(key.cells[KEY]).used),
            TopBy::Waiting => u64::from(key.waiting),
            TopBy::Granted => key.granted,
            TopBy::Impeded => key.impeded,
        };
        let mut all: Vec<(u64, usize)> = (0..self.keys.len())
            .filter(|at| !self.keys[*at].is_free())
            .map(|at| (measure(&self.keys[at]), at))
            .filter(|(value, _)| *value > 0)
            .collect();
        let order = |one: &(u64, usize)| (std::cmp::Reverse(one.0), one.1);
        if all.len() > limit {
            all.select_nth_unstable_by_key(limit, order);
            all.truncate(limit);
        }
        all.sort_unstable_by_key(order);
        let mut out = String::from(r#"{"items":["#);
        for (place, (_, at)) in all.iter().enumerate() {
            self.write_item(&mut out, &self.keys[*at], place > 0);
        }
        out.push_str("]}");
        self.reply_json(request, &out);
        Ok(())
    }

    fn write_item(&self, out: &mut String, key: &Key, has_before: bool) {
        let counts = self.table.read(key.cells[KEY]);
        let policy = &key.policy;
        if has_before {
            out.push(',');
        }
        let _ = write!(
            out,
            r#"{{"resource":"{}","tenant":"{}","used":{},"limit":{},"waiting":{},"floor":{},"weight":{},"mode":"{}","oldestWaitMs":{},"permits":{},"granted":{},"impeded":{}}}"#,
            text(&self.resources[key.resource as usize].name),
            text(&self.tenants[key.tenant as usize].name),
            counts.used,
            number(counts.cap),
            key.waiting,
            policy.floor,
            policy.weight,
            policy.mode.name(),
            number(self.oldest_wait_ms(key)),
            key.permits,
            key.granted,
            key.impeded,
        );
    }

    fn oldest_wait_ms(&self, key: &Key) -> Option<u64> {
        (key.waiting > 0).then(|| {
            self.now_us
                .saturating_sub(self.waiters.get(key.first).since_us)
                / 1000
        })
    }

    pub(super) fn explain_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let asked = decode_gate_explain(bytes)?;
        let resource = self.names.resources.get(asked.resource.as_bytes()).copied();
        let Some(resource) = resource else {
            self.reply_json(request, r#"{"error":"unknownResource"}"#);
            return Ok(());
        };
        let tenant = self.names.tenants.get(asked.tenant.as_bytes()).copied();
        let key = tenant.and_then(|tenant| {
            let pair = super::keys::pair(resource, tenant);
            self.key_of.get(&pair).copied()
        });
        let was_open = key.is_some();
        // Opened to be looked at; it is forgotten as any that is idle.
        let key = key.map_or_else(|| self.key_at(resource, asked.tenant.as_bytes()), Ok);
        let Ok(key) = key else {
            self.reply_json(request, r#"{"error":"tooManyKeys"}"#);
            return Ok(());
        };
        let text = self.explained(key, was_open);
        self.reply_json(request, &text);
        Ok(())
    }

    fn explained(&self, at: u32, was_open: bool) -> String {
        let key = &self.keys[at as usize];
        let resource = &self.resources[key.resource as usize];
        let mut out = String::new();
        let _ = write!(
            out,
            r#"{{"resource":"{}","tenant":"{}","chain":["#,
            text(&resource.name),
            text(&self.tenants[key.tenant as usize].name),
        );
        self.write_chain(&mut out, at);
        let policy = &key.policy;
        let _ = write!(
            out,
            r#"],"policy":{{"limit":{},"floor":{},"weight":{},"mode":"{}","waitersMax":{},"waitMs":{},"ratePerSec":{},"leaseMs":{}}}"#,
            number(policy.limit),
            policy.floor,
            policy.weight,
            policy.mode.name(),
            policy.waiters_max,
            policy.wait_ms,
            rate(policy.pace_us),
            policy.lease_ms,
        );
        let blocked = key.blocked.name();
        let side = key.blocked.line().unwrap_or(RESOURCE);
        let _ = write!(
            out,
            r#","known":{},"open":{},"waiting":{},"oldestWaitMs":{},"blockedBy":{},"holdMs":{},"estimateMs":{},"tag":"{}","virtualTime":"{}","queue":["#,
            resource.fields.is_some(),
            was_open,
            key.waiting,
            number(self.oldest_wait_ms(key)),
            blocked.map_or("null".to_owned(), |name| format!("\"{name}\"")),
            number(self.hold_us(at).map(|hold_us| hold_us / 1000)),
            number(self.estimate_ms(at, 1, true)),
            key.tags[side],
            self.line(at, side).virtual_time,
        );
        self.write_queue(&mut out, &resource.line);
        out.push_str(r#"],"adaptive":"#);
        match &resource.adaptive {
            None => out.push_str("null"),
            Some(adaptive) => {
                let (min, max) = adaptive.bounds();
                let (shortest, latest) = adaptive.latencies_us();
                let ms = |us: Option<f64>| number(us.map(|us| format!("{:.3}", us / 1000.0)));
                let _ = write!(
                    out,
                    r#"{{"limit":{},"min":{min},"max":{max},"minRttMs":{},"rttMs":{},"samples":{}}}"#,
                    adaptive.limit(),
                    ms(shortest),
                    ms(latest),
                    adaptive.samples(),
                );
            }
        }
        write_decisions(&mut out, key);
        out
    }

    fn write_chain(&self, out: &mut String, at: u32) {
        let key = &self.keys[at as usize];
        let waiting = [
            usize::from(key.waiting > 0),
            self.line(at, TENANT).len(),
            self.line(at, RESOURCE).len(),
        ];
        for (place, name) in ["key", "tenant", "resource"].iter().enumerate() {
            let counts = self.table.read(key.cells[place]);
            let _ = write!(
                out,
                r#"{}{{"cap":"{name}","used":{},"limit":{},"unfilledFloors":{},"waitingKeys":{}}}"#,
                if place > 0 { "," } else { "" },
                counts.used,
                number(counts.cap),
                counts.unfilled,
                waiting[place],
            );
        }
    }

    fn write_queue(&self, out: &mut String, line: &Line) {
        for (place, rank) in line.iter().take(QUEUE_SHOWN).enumerate() {
            let key = &self.keys[rank.key as usize];
            let _ = write!(
                out,
                r#"{}{{"tenant":"{}","waiting":{},"seats":{},"weight":{},"score":"-{}","oldestWaitMs":{}}}"#,
                if place > 0 { "," } else { "" },
                text(&self.tenants[key.tenant as usize].name),
                key.waiting,
                self.waiters.get(key.first).seats,
                key.policy.weight,
                rank.tag,
                number(self.oldest_wait_ms(key)),
            );
        }
    }
}

fn write_decisions(out: &mut String, key: &Key) {
    out.push_str(r#","decisions":["#);
    for (place, (at_ms, decision)) in key.decisions.iter().enumerate() {
        let _ = write!(
            out,
            r#"{}{{"atMs":{at_ms},"what":"{}","code":{},"seats":{},"used":{}}}"#,
            if place > 0 { "," } else { "" },
            decision.what.name(),
            decision.code,
            decision.seats,
            decision.used,
        );
    }
    out.push_str("]}");
}

/// Names are ASCII without quotes.
fn text(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or("?")
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// A pace as a rate; without one it is so slow that nothing is meant by it.
#[allow(clippy::cast_precision_loss)]
fn rate(pace_us: u64) -> String {
    if pace_us == 0 {
        "null".to_owned()
    } else {
        format!("{}", 1e6 / pace_us as f64)
    }
}
