//! Log records: what happened to messages in one exchange after they were accepted.

use super::varint::{Varints, write_delta, write_varint, write_zigzag};
use super::{RecordError, RecordType, begin_record, check_record, end_record};
use crate::message_id::BATCH_END;

const TAG_RETURNS: u8 = 1;
const TAG_SETTLED: u8 = 2;
const TAG_HANDED_OUT: u8 = 3;
const TAG_HANDED_TO: u8 = 4;
const TAG_SCORES: u8 = 5;

/// Key of a message within its shard.
#[inline]
pub const fn message_key(batch: u64, index: u16) -> u64 {
    assert!(batch < BATCH_END, "a batch number has 48 bits");
    batch << 16 | index as u64
}

/// A message that went from in flight back to its queue or to a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return {
    pub key: u64,
    pub reason: u8,
    /// Attempts from now on.
    pub attempts: u32,
    /// 0: now.
    pub due_ms: u64,
    /// 1: in doubt.
    pub flags: u8,
}

/// Messages settled for good with one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled<'a> {
    pub outcome: u8,
    pub keys: &'a [u64],
}

/// Consecutive messages of the handed-out list that went to one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedTo {
    /// At least 1.
    pub count: u32,
    pub connection: u32,
    pub subscription: u32,
}

/// Content of a log record; an empty slice leaves its section out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEntries<'a> {
    /// Wall clock of the exchange, ms since the epoch.
    pub at_ms: u64,
    pub returns: &'a [Return],
    pub settled: &'a [Settled<'a>],
    /// In the order of handing out.
    pub handed_out: &'a [u64],
    /// Empty, or covers exactly the handed-out messages.
    pub handed_to: &'a [HandedTo],
    /// Empty, or the score of each handed-out message, cost units.
    pub scores: &'a [i64],
}

/// Consecutive keys of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub key: u64,
    /// At least 1.
    pub length: u32,
}

impl Run {
    pub fn keys(self) -> std::ops::Range<u64> {
        self.key..self.key + u64::from(self.length)
    }
}

/// Appends a log record. `scratch` is cleared; the caller keeps it for the next record.
pub fn write_log_record(out: &mut Vec<u8>, scratch: &mut Vec<u8>, entries: &LogEntries<'_>) {
    let start = begin_record(out, RecordType::Log);
    out.extend_from_slice(&entries.at_ms.to_le_bytes());
    if !entries.returns.is_empty() {
        write_returns(scratch, entries.returns);
        write_section(out, TAG_RETURNS, scratch);
    }
    if !entries.settled.is_empty() {
        scratch.clear();
        write_varint(scratch, entries.settled.len() as u64);
        for settled in entries.settled {
            scratch.push(settled.outcome);
            write_runs(scratch, settled.keys);
        }
        write_section(out, TAG_SETTLED, scratch);
    }
    if !entries.handed_out.is_empty() {
        scratch.clear();
        write_runs(scratch, entries.handed_out);
        write_section(out, TAG_HANDED_OUT, scratch);
    }
    if !entries.handed_to.is_empty() {
        write_handed_to(scratch, entries);
        write_section(out, TAG_HANDED_TO, scratch);
    }
    if !entries.scores.is_empty() {
        assert_eq!(entries.scores.len(), entries.handed_out.len(), "scores");
        scratch.clear();
        for score in entries.scores {
            write_zigzag(scratch, *score);
        }
        write_section(out, TAG_SCORES, scratch);
    }
    end_record(out, start);
}

fn write_section(out: &mut Vec<u8>, tag: u8, section: &[u8]) {
    out.push(tag);
    write_varint(out, section.len() as u64);
    out.extend_from_slice(section);
}

fn write_returns(section: &mut Vec<u8>, returns: &[Return]) {
    section.clear();
    write_varint(section, returns.len() as u64);
    let mut expected = 0_u64;
    for entry in returns {
        write_delta(section, expected, entry.key);
        section.push(entry.reason);
        write_varint(section, entry.attempts.into());
        write_varint(section, entry.due_ms);
        section.push(entry.flags);
        expected = entry.key.wrapping_add(1);
    }
}

fn write_handed_to(section: &mut Vec<u8>, entries: &LogEntries<'_>) {
    section.clear();
    write_varint(section, entries.handed_to.len() as u64);
    let mut covered = 0;
    for group in entries.handed_to {
        assert!(group.count > 0, "a group without a message");
        covered += group.count as usize;
        write_varint(section, group.count.into());
        write_varint(section, group.connection.into());
        write_varint(section, group.subscription.into());
    }
    assert_eq!(covered, entries.handed_out.len(), "messages handed out");
}

fn write_runs(section: &mut Vec<u8>, keys: &[u64]) {
    write_varint(section, runs_of(keys).count() as u64);
    let mut expected = 0_u64;
    for run in runs_of(keys) {
        write_delta(section, expected, run.key);
        write_varint(section, run.length.into());
        expected = run.key.wrapping_add(run.length.into());
    }
}

/// Splits keys into runs without changing their order.
fn runs_of(keys: &[u64]) -> impl Iterator<Item = Run> {
    keys.chunk_by(|a, b| a.wrapping_add(1) == *b && a >> 16 == b >> 16)
        .map(|run| Run {
            key: run[0],
            length: run.len() as u32,
        })
}

/// A log record, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    at_ms: u64,
    returns: &'a [u8],
    settled: &'a [u8],
    handed_out: &'a [u8],
    handed_to: &'a [u8],
    scores: &'a [u8],
}

impl<'a> LogRecord<'a> {
    /// Checks everything, so that the iterators meet no damage.
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        let (version, content) = check_record(value, RecordType::Log)?;
        Self::split(version, content)
            .filter(Self::is_sound)
            .ok_or(RecordError::Damaged)
    }

    /// Wall clock of the exchange, ms since the epoch; 0 (unknown) in version 1.
    pub const fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// To be replayed first.
    pub fn returns(&self) -> impl Iterator<Item = Return> + use<'a> {
        let mut varints = Varints::new(self.returns);
        let mut left = varints.u64().unwrap_or(0);
        let mut expected = 0;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let entry = read_return(&mut varints, expected)?;
            expected = entry.key.wrapping_add(1);
            Some(entry)
        })
    }

    /// Groups of messages settled for good.
    pub fn settled(&self) -> SettledRuns<'a> {
        let mut varints = Varints::new(self.settled);
        let left = varints.u64().unwrap_or(0);
        SettledRuns { varints, left }
    }

    pub fn handed_out(&self) -> Runs<'a> {
        Runs::new(Varints::new(self.handed_out))
    }

    /// Whom the handed-out messages went to, in their order; nothing if it was not recorded.
    pub fn handed_to(&self) -> impl Iterator<Item = HandedTo> + use<'a> {
        let mut varints = Varints::new(self.handed_to);
        let count = varints.u64().unwrap_or(0);
        (0..count).map_while(move |_| read_handed_to(&mut varints))
    }

    /// Score of each handed-out message, in their order; nothing if it was not recorded.
    pub fn scores(&self) -> impl Iterator<Item = i64> + use<'a> {
        let mut varints = Varints::new(self.scores);
        std::iter::from_fn(move || varints.zigzag())
    }

    fn split(version: u8, content: &'a [u8]) -> Option<Self> {
        let mut rest = Varints::new(content);
        let at_ms = if version == 1 { 0 } else { rest.u64_le()? };
        let mut record = Self {
            at_ms,
            returns: &[],
            settled: &[],
            handed_out: &[],
            handed_to: &[],
            scores: &[],
        };
        let mut tag_before = 0;
        while !rest.is_empty() {
            let tag = rest.byte()?;
            let length = usize::try_from(rest.u64()?).ok()?;
            let section = rest.take(length)?;
            if tag <= tag_before || section.is_empty() {
                return None;
            }
            tag_before = tag;
            match tag {
                TAG_RETURNS => record.returns = section,
                TAG_SETTLED => record.settled = section,
                TAG_HANDED_OUT => record.handed_out = section,
                TAG_HANDED_TO if version > 1 => record.handed_to = section,
                TAG_SCORES if version > 1 => record.scores = section,
                _ => return None,
            }
        }
        Some(record)
    }

    fn is_sound(&self) -> bool {
        self.check_returns().is_some()
            && self.check_settled().is_some()
            && (self.handed_out.is_empty() || whole_runs(self.handed_out).is_some())
            && self.check_handed_to().is_some()
            && self.check_scores().is_some()
    }

    fn handed_out_count(&self) -> u64 {
        self.handed_out().map(|run| u64::from(run.length)).sum()
    }

    fn check_handed_to(&self) -> Option<()> {
        let mut varints = Varints::new(self.handed_to);
        if varints.is_empty() {
            return Some(());
        }
        let mut covered = 0_u64;
        for _ in 0..varints.u64()? {
            covered += u64::from(read_handed_to(&mut varints)?.count);
        }
        (varints.is_empty() && covered == self.handed_out_count()).then_some(())
    }

    fn check_scores(&self) -> Option<()> {
        let mut varints = Varints::new(self.scores);
        if varints.is_empty() {
            return Some(());
        }
        let mut left = self.handed_out_count();
        while !varints.is_empty() {
            varints.zigzag()?;
            left = left.checked_sub(1)?;
        }
        (left == 0).then_some(())
    }

    fn check_returns(&self) -> Option<()> {
        let mut varints = Varints::new(self.returns);
        if varints.is_empty() {
            return Some(());
        }
        let count = varints.u64()?;
        let mut expected = 0;
        for _ in 0..count {
            expected = read_return(&mut varints, expected)?.key.wrapping_add(1);
        }
        varints.is_empty().then_some(())
    }

    fn check_settled(&self) -> Option<()> {
        let mut varints = Varints::new(self.settled);
        if varints.is_empty() {
            return Some(());
        }
        for _ in 0..varints.u64()? {
            varints.byte()?;
            varints = skip_runs(varints)?;
        }
        varints.is_empty().then_some(())
    }
}

fn read_return(varints: &mut Varints<'_>, expected: u64) -> Option<Return> {
    Some(Return {
        key: varints.delta(expected)?,
        reason: varints.byte()?,
        attempts: varints.u32()?,
        due_ms: varints.u64()?,
        flags: varints.byte()?,
    })
}

fn read_handed_to(varints: &mut Varints<'_>) -> Option<HandedTo> {
    let group = HandedTo {
        count: varints.u32()?,
        connection: varints.u32()?,
        subscription: varints.u32()?,
    };
    (group.count > 0).then_some(group)
}

fn whole_runs(section: &[u8]) -> Option<()> {
    skip_runs(Varints::new(section))?.is_empty().then_some(())
}

fn skip_runs(varints: Varints<'_>) -> Option<Varints<'_>> {
    let mut runs = Runs::new(varints);
    while runs.next().is_some() {}
    runs.is_whole().then_some(runs.varints)
}

/// Runs of one list, in order.
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    varints: Varints<'a>,
    left: u64,
    expected: u64,
    failed: bool,
}

impl<'a> Runs<'a> {
    fn new(mut varints: Varints<'a>) -> Self {
        let (left, failed) = varints.u64().map_or((0, true), |left| (left, false));
        Self {
            varints,
            left,
            expected: 0,
            failed,
        }
    }

    fn is_whole(&self) -> bool {
        self.left == 0 && !self.failed
    }

    fn run(&mut self) -> Option<Run> {
        let key = self.varints.delta(self.expected)?;
        let length = self.varints.u32()?;
        let indexes_left = 65_536 - (key & 0xffff) as u32;
        (1..=indexes_left)
            .contains(&length)
            .then_some(Run { key, length })
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        self.left = self.left.checked_sub(1)?;
        let run = self.run();
        if let Some(run) = run {
            self.expected = run.key.wrapping_add(run.length.into());
        } else {
            (self.left, self.failed) = (0, true);
        }
        run
    }
}

/// Groups of one outcome and its runs.
#[derive(Clone, Debug)]
pub struct SettledRuns<'a> {
    varints: Varints<'a>,
    left: u64,
}

impl<'a> Iterator for SettledRuns<'a> {
    type Item = (u8, Runs<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let outcome = self.varints.byte()?;
        let runs = Runs::new(self.varints);
        self.varints = skip_runs(self.varints)?;
        Some((outcome, runs))
    }
}
