//! State records: where each message of one batch stands, written by a checkpoint.

use super::varint::{Varints, write_varint};
use super::{BATCH_INDEXES_MAX, RecordError, RecordType, begin_record, check_record, end_record};

/// Refused, never there, or forgotten.
pub const STATE_GONE: u8 = 0;
pub const STATE_WAITING: u8 = 1;
pub const STATE_IN_FLIGHT: u8 = 2;
/// A retry waits.
pub const STATE_TIMED: u8 = 3;
/// Not to be sent before its time.
pub const STATE_SCHEDULED: u8 = 4;
/// From here on the message has ended.
pub const STATE_SENT: u8 = 8;
pub const STATE_DELIVERED: u8 = 9;
pub const STATE_UNDELIVERED: u8 = 10;
pub const STATE_FAILED: u8 = 11;
pub const STATE_EXPIRED: u8 = 12;
pub const STATE_CANCELLED: u8 = 13;
/// A dead letter: failed, but kept to be replayed or purged.
pub const STATE_DEAD: u8 = 14;
/// A dead letter that was purged or dropped.
pub const STATE_GIVEN_UP: u8 = 15;

const STATE_MAX: u8 = STATE_GIVEN_UP;
const STATE_MAX_V1: u8 = STATE_TIMED;

/// What a message has beside its state, if anything of it is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateExtra {
    pub index: u16,
    pub attempts: u32,
    /// 0: now.
    pub due_ms: u64,
    /// 1: in doubt.
    pub flags: u8,
}

/// Consecutive indexes in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRun {
    pub first_index: u16,
    pub length: u16,
    pub state: u8,
}

/// Appends a state record: `ended_ms` is the latest end of a message of the batch (0: none known),
/// `states` has one state an index from 0 on (it is walked twice), `extras` ascend by index.
pub fn write_state_record(
    out: &mut Vec<u8>,
    as_of: u64,
    ended_ms: u64,
    states: impl Iterator<Item = u8> + Clone,
    extras: &[StateExtra],
) {
    let start = begin_record(out, RecordType::State);
    let mut length = 0_usize;
    let mut runs = 0_u64;
    each_run(states.clone(), |_, run| {
        length += run;
        runs += 1;
    });
    assert!(length <= BATCH_INDEXES_MAX, "a batch of {length} messages");
    out.extend_from_slice(&as_of.to_le_bytes());
    out.extend_from_slice(&ended_ms.to_le_bytes());
    out.extend_from_slice(&(length as u16).to_le_bytes());
    write_varint(out, runs);
    each_run(states, |state, run| {
        assert!(state <= STATE_MAX, "state {state}");
        out.push(state);
        write_varint(out, run as u64);
    });
    write_varint(out, extras.len() as u64);
    for extra in extras {
        out.extend_from_slice(&extra.index.to_le_bytes());
        write_varint(out, extra.attempts.into());
        write_varint(out, extra.due_ms);
        out.push(extra.flags);
    }
    end_record(out, start);
}

fn each_run(states: impl Iterator<Item = u8>, mut take: impl FnMut(u8, usize)) {
    let mut states = states.peekable();
    while let Some(state) = states.next() {
        let mut length = 1;
        while states.next_if_eq(&state).is_some() {
            length += 1;
        }
        take(state, length);
    }
}

/// A state record, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct StateRecord<'a> {
    as_of: u64,
    ended_ms: u64,
    length: u16,
    state_max: u8,
    runs: Varints<'a>,
    run_count: u64,
    extras: Varints<'a>,
    extra_count: u64,
}

impl<'a> StateRecord<'a> {
    /// Checks everything, so that the iterators meet no damage.
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        let (version, content) = check_record(value, RecordType::State)?;
        Self::split(version, content).ok_or(RecordError::Damaged)
    }

    /// Sequence of the last log record that is contained.
    pub const fn as_of(&self) -> u64 {
        self.as_of
    }

    /// Latest end of a message of the batch, ms since the epoch; 0: none known.
    pub const fn ended_ms(&self) -> u64 {
        self.ended_ms
    }

    /// Indexes that the runs cover, from 0.
    pub const fn length(&self) -> u16 {
        self.length
    }

    pub fn runs(&self) -> impl Iterator<Item = StateRun> + use<'a> {
        let (mut varints, state_max) = (self.runs, self.state_max);
        let mut next_index = 0;
        (0..self.run_count).map_while(move |_| {
            let run = read_run(&mut varints, next_index, state_max)?;
            next_index += u32::from(run.length);
            Some(run)
        })
    }

    pub fn extras(&self) -> impl Iterator<Item = StateExtra> + use<'a> {
        let mut varints = self.extras;
        (0..self.extra_count).map_while(move |_| read_extra(&mut varints))
    }

    fn split(version: u8, content: &'a [u8]) -> Option<Self> {
        let mut rest = Varints::new(content);
        let as_of = rest.u64_le()?;
        let (ended_ms, state_max) = match version {
            1 => (0, STATE_MAX_V1),
            _ => (rest.u64_le()?, STATE_MAX),
        };
        let length = rest.u16_le()?;
        let run_count = rest.u64()?;
        let runs = rest;
        let mut covered = 0_u32;
        for _ in 0..run_count {
            covered += u32::from(read_run(&mut rest, covered, state_max)?.length);
        }
        let extra_count = rest.u64()?;
        let extras = rest;
        let mut next_index = 0_u32;
        for _ in 0..extra_count {
            let index = u32::from(read_extra(&mut rest)?.index);
            if index < next_index || index >= u32::from(length) {
                return None;
            }
            next_index = index + 1;
        }
        (covered == u32::from(length) && rest.is_empty()).then_some(Self {
            as_of,
            ended_ms,
            length,
            state_max,
            runs,
            run_count,
            extras,
            extra_count,
        })
    }
}

fn read_run(varints: &mut Varints<'_>, first_index: u32, state_max: u8) -> Option<StateRun> {
    let state = varints.byte()?;
    let length = varints.u64()?;
    let fits = length > 0 && u64::from(first_index) + length <= BATCH_INDEXES_MAX as u64;
    (state <= state_max && fits).then_some(StateRun {
        first_index: first_index as u16,
        length: length as u16,
        state,
    })
}

fn read_extra(varints: &mut Varints<'_>) -> Option<StateExtra> {
    Some(StateExtra {
        index: varints.u16_le()?,
        attempts: varints.u32()?,
        due_ms: varints.u64()?,
        flags: varints.byte()?,
    })
}
