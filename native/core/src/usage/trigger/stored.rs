//! The records of triggers and firings.
//!
//! Trigger, key `10 sid`: msgpack `[account, fields…]` and `[created, createdMs, updatedMs, arming,
//! base (nil: not known), counted since, [[period, next, flags]…], firings, skipped, last firing
//! [ms, value]|nil, events, sub-windows [newest, [sum…]]|nil]`. Firing, key `11 sequence`: the content
//! of the effect that tells it.

use super::fields::FIELDS;
use super::ring::Ring;
use super::spec::Spec;
use super::state::{Base, Fired, State};
use super::wire::{array_of, list, optional, read_wide, write_wide, write_wide_or_nil};
use crate::error::Code;
use crate::msgpack::{Reader, write_array_len, write_nil, write_uint};
use crate::record::{RecordError, RecordType, begin_record, check_record, end_record};

const STATE_FIELDS: usize = 12;
const QUIET: u64 = 1;
const DUE: u64 = 2;

pub(super) fn write_trigger(out: &mut Vec<u8>, spec: &Spec, state: &State) {
    let start = begin_record(out, RecordType::UsageTrigger);
    write_array_len(out, FIELDS + 1);
    spec.write(out);
    write_state(out, state);
    end_record(out, start);
}

pub(super) fn parse_trigger(value: &[u8]) -> Result<(Spec, State), RecordError> {
    let (_, bytes) = check_record(value, RecordType::UsageTrigger)?;
    read_trigger(&mut Reader::new(bytes)).map_err(|_| RecordError::Damaged)
}

fn read_trigger(reader: &mut Reader<'_>) -> Result<(Spec, State), Code> {
    array_of(reader, FIELDS + 1)?;
    let spec = Spec::read(reader).map_err(|_| Code::WrongType)?;
    spec.check().map_err(|_| Code::WrongType)?;
    let state = read_state(reader, &spec)?;
    reader.end()?;
    Ok((spec, state))
}

fn write_state(out: &mut Vec<u8>, state: &State) {
    write_array_len(out, STATE_FIELDS);
    for number in [
        state.created,
        state.created_ms,
        state.updated_ms,
        state.arming,
    ] {
        write_uint(out, number);
    }
    let (base, since) = match state.base {
        Base::Known(base) => (Some(base), 0),
        Base::Since(since) => (None, since),
    };
    write_wide_or_nil(out, base);
    write_wide(out, since);
    write_array_len(out, state.fired.len());
    for fired in &state.fired {
        write_array_len(out, 3);
        write_uint(out, fired.period.into());
        write_uint(out, fired.next);
        write_uint(
            out,
            u64::from(fired.quiet) * QUIET + u64::from(fired.due) * DUE,
        );
    }
    write_uint(out, state.firings);
    write_uint(out, state.skipped);
    match state.last {
        Some((at_ms, value)) => {
            write_array_len(out, 2);
            write_uint(out, at_ms);
            write_wide(out, value);
        }
        None => write_nil(out),
    }
    write_uint(out, state.events);
    write_ring(out, state.ring.as_deref());
}

fn write_ring(out: &mut Vec<u8>, ring: Option<&Ring>) {
    let Some(ring) = ring else {
        return write_nil(out);
    };
    let (newest, sums) = ring.parts();
    write_array_len(out, 2);
    write_uint(out, newest);
    write_array_len(out, sums.len());
    for sum in sums {
        write_wide(out, sum);
    }
}

fn read_state(reader: &mut Reader<'_>, spec: &Spec) -> Result<State, Code> {
    array_of(reader, STATE_FIELDS)?;
    Ok(State {
        created: reader.uint()?,
        created_ms: reader.uint()?,
        updated_ms: reader.uint()?,
        arming: reader.uint()?,
        base: {
            let (base, since) = (optional(reader, read_wide)?, read_wide(reader)?);
            base.map_or(Base::Since(since), Base::Known)
        },
        fired: list(reader, read_fired)?,
        firings: reader.uint()?,
        skipped: reader.uint()?,
        last: optional(reader, |reader| {
            array_of(reader, 2)?;
            Ok((reader.uint()?, read_wide(reader)?))
        })?,
        events: reader.uint()?,
        ring: read_ring(reader, spec.window_ms)?,
    })
}

fn read_fired(reader: &mut Reader<'_>) -> Result<Fired, Code> {
    array_of(reader, 3)?;
    let (period, next, flags) = (reader.uint32()?, reader.uint()?, reader.uint()?);
    Ok(Fired {
        period,
        next,
        quiet: flags & QUIET != 0,
        due: flags & DUE != 0,
    })
}

/// A trigger has sub-windows if, and only if, it is a rate.
fn read_ring(reader: &mut Reader<'_>, window_ms: Option<u64>) -> Result<Option<Box<Ring>>, Code> {
    let parts = optional(reader, |reader| {
        array_of(reader, 2)?;
        let newest = reader.uint()?;
        let sums = list(reader, read_wide)?;
        Ok((newest, sums.try_into().map_err(|_| Code::WrongType)?))
    })?;
    match (parts, window_ms) {
        (Some((newest, sums)), Some(window_ms)) => {
            Ok(Some(Box::new(Ring::with(window_ms, newest, &sums))))
        }
        (None, None) => Ok(None),
        _ => Err(Code::WrongType),
    }
}

pub(super) fn write_firing(out: &mut Vec<u8>, content: &[u8]) {
    let start = begin_record(out, RecordType::UsageFiring);
    out.extend_from_slice(content);
    end_record(out, start);
}

pub(super) fn parse_firing(value: &[u8]) -> Result<&[u8], RecordError> {
    check_record(value, RecordType::UsageFiring).map(|(_, content)| content)
}
