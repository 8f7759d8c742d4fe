//! The fields of a trigger as msgpack values one after another: as it is put, and as it is stored.

use super::bad::Bad;
use super::spec::{Action, By, Callback, Recurring, Spec};
use super::wire::{array_of, list, optional, read_text, read_wide, write_wide, write_wide_or_nil};
use crate::error::Code;
use crate::msgpack::{
    Number, Reader, write_array_len, write_bool, write_nil, write_str, write_uint,
    write_uint_or_nil,
};

/// Values that the fields are, beside the account before them.
pub(super) const FIELDS: usize = 15;

impl Spec {
    /// Reads the account and the fields; what they say is not checked.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Bad> {
        Ok(Self {
            account: of("tenant", read_text(reader))?.into(),
            category: of("category", read_text(reader))?.into(),
            tag: of("tag", read_text(reader))?.into(),
            by: of("by", one_of(reader, &By::ALL))?,
            value: of("value", read_wide(reader))?,
            relative: of("relative", reader.bool())?,
            thresholds: of("thresholds", list(reader, read_wide))?.into(),
            step: of("step", optional(reader, read_wide))?,
            recurring: of("recurring", one_of(reader, &Recurring::ALL))?,
            window_ms: of("windowMs", optional(reader, Reader::uint))?,
            rearm_below: of("rearmBelow", optional(reader, read_wide))?,
            every_n: of("everyN", reader.uint32())?,
            callbacks: of("callbacks", list(reader, read_callback))?.into(),
            action: of("action", optional(reader, read_action))?,
            friendly_name: of("friendlyName", optional(reader, read_text))?.map(Into::into),
            sub_accounts: of("subAccounts", reader.bool())?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_str(out, &self.account);
        write_str(out, &self.category);
        write_str(out, &self.tag);
        write_uint(out, self.by as u64);
        write_wide(out, self.value);
        write_bool(out, self.relative);
        write_array_len(out, self.thresholds.len());
        for value in &self.thresholds {
            write_wide(out, *value);
        }
        write_wide_or_nil(out, self.step);
        write_uint(out, self.recurring as u64);
        write_uint_or_nil(out, self.window_ms);
        write_wide_or_nil(out, self.rearm_below);
        write_uint(out, self.every_n.into());
        self.write_callbacks(out);
        self.write_action(out);
        self.write_friendly_name(out);
        write_bool(out, self.sub_accounts);
    }

    pub(super) fn write_callbacks(&self, out: &mut Vec<u8>) {
        write_array_len(out, self.callbacks.len());
        for callback in &self.callbacks {
            write_array_len(out, 3);
            write_str(out, &callback.url);
            write_uint(out, callback.method.into());
            write_uint(out, callback.form.into());
        }
    }

    pub(super) fn write_action(&self, out: &mut Vec<u8>) {
        let Some(action) = self.action else {
            return write_nil(out);
        };
        write_array_len(out, 3);
        write_uint(out, action.kind.into());
        match action.number {
            Some(number) => {
                out.push(0xcb);
                out.extend_from_slice(&number.to_bits().to_be_bytes());
            }
            None => write_nil(out),
        }
        write_uint_or_nil(out, action.code.map(u64::from));
    }

    pub(super) fn write_friendly_name(&self, out: &mut Vec<u8>) {
        match &self.friendly_name {
            Some(name) => write_str(out, name),
            None => write_nil(out),
        }
    }
}

/// Names the field that could not be read: a number beyond its range, text that is no UTF-8.
fn of<T>(field: &'static str, read: Result<T, Code>) -> Result<T, Bad> {
    let reason = "has a value that cannot be read";
    read.map_err(|_| Bad { field, reason })
}

fn one_of<T: Copy>(reader: &mut Reader<'_>, all: &[T]) -> Result<T, Code> {
    let number = reader.uint32()? as usize;
    all.get(number).copied().ok_or(Code::WrongType)
}

fn byte(reader: &mut Reader<'_>) -> Result<u8, Code> {
    u8::try_from(reader.uint()?).map_err(|_| Code::WrongType)
}

fn read_callback(reader: &mut Reader<'_>) -> Result<Callback, Code> {
    array_of(reader, 3)?;
    Ok(Callback {
        url: read_text(reader)?.into(),
        method: byte(reader)?,
        form: byte(reader)?,
    })
}

fn read_action(reader: &mut Reader<'_>) -> Result<Action, Code> {
    array_of(reader, 3)?;
    Ok(Action {
        kind: byte(reader)?,
        number: optional(reader, read_number)?,
        code: optional(reader, Reader::uint32)?,
    })
}

#[allow(
    clippy::cast_precision_loss,
    reason = "numbers of actions are rates and caps"
)]
fn read_number(reader: &mut Reader<'_>) -> Result<f64, Code> {
    Ok(match reader.f64_or_int()? {
        Number::Uint(value) => value as f64,
        Number::Int(value) => value as f64,
        Number::Float(value) => value,
    })
}
