//! Recovery: which counters there are, what the log has that cells have not, event keys, triggers.

use super::counters::Kind;
use super::wants::stored;
use super::{Fatal, Usage};
use crate::record::{
    JournalEntry, JournalReader, RecordError, UsageCellKey, UsageKey, UsageLog, UsageMark,
    parse_usage_key, parse_usage_mark, parse_usage_sources,
};

/// What the marks say, and what came so far.
#[derive(Default)]
pub(super) struct Recovered {
    through: u64,
    /// None: no mark.
    begun: Option<u64>,
    /// First and last sequence of the log that is stored.
    log: Option<(u64, u64)>,
    /// Sources as of `begun`.
    begun_sources: Option<Vec<(u32, u64)>>,
}

impl Recovered {
    /// A checkpoint was begun and did not end.
    fn unfinished(&self) -> Option<u64> {
        self.begun.filter(|begun| *begun > self.through)
    }
}

impl Usage {
    /// Stored records as a journal of puts, their keys ascending over all chunks; day cells may be left
    /// out.
    pub fn recover(&mut self, now_us: u64, chunk: &[u8]) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        let Some(mut recovered) = self.recovering.take() else {
            return Err(Fatal::State("recovery was finished".to_owned()));
        };
        let entries = JournalReader::new(chunk).map_err(|error| stored(&[], error))?;
        for entry in entries {
            match entry.map_err(|error| stored(&[], error))? {
                JournalEntry::Put { key, value } => {
                    let Some(named) = parse_usage_key(key) else {
                        return Err(stored(key, RecordError::Damaged));
                    };
                    self.recover_one(&mut recovered, named, value)
                        .map_err(|error| stored(key, error))?;
                }
                JournalEntry::Delete { key } => return Err(stored(key, RecordError::Damaged)),
            }
        }
        self.recovering = Some(recovered);
        Ok(())
    }

    fn recover_one(
        &mut self,
        recovered: &mut Recovered,
        key: UsageKey<'_>,
        value: &[u8],
    ) -> Result<(), RecordError> {
        match key {
            UsageKey::Mark(mark) => {
                let sequence = parse_usage_mark(value, mark)?;
                match mark {
                    UsageMark::Through => recovered.through = sequence,
                    UsageMark::Begun => recovered.begun = Some(sequence),
                }
            }
            UsageKey::Sources => {
                self.log.sources = parse_usage_sources(value)?.into_iter().collect();
            }
            UsageKey::Cell(UsageCellKey { day: Some(_), .. }) => {}
            UsageKey::Cell(cell) => {
                // Its sums are read when somebody asks; damage is found then.
                let account = self.accounts.open(cell.account);
                let kind = Kind {
                    category: cell.category,
                    tag: cell.tag,
                };
                self.note_counter(account, kind);
            }
            UsageKey::Log { sequence } => self.recover_log(recovered, sequence, value)?,
            UsageKey::EventKeys { hour, sequence } => {
                let accounts = &mut self.accounts;
                self.event_keys.recover((hour, sequence), value, accounts)?;
            }
            UsageKey::Trigger { sid } => self.triggers.recover_trigger(sid, value)?,
            UsageKey::Firing { firing } => self.triggers.recover_firing(firing, value)?,
        }
        Ok(())
    }

    fn recover_log(
        &mut self,
        recovered: &mut Recovered,
        sequence: u64,
        value: &[u8],
    ) -> Result<(), RecordError> {
        let log = UsageLog::parse(value)?;
        let first = recovered.log.map_or(sequence, |(first, _)| first);
        recovered.log = Some((first, sequence));
        if sequence <= recovered.through {
            return Ok(());
        }
        let is_frozen = recovered
            .unfinished()
            .is_some_and(|begun| sequence <= begun);
        if !is_frozen {
            self.note_begun_sources(recovered);
            self.log.bytes += value.len() as u64;
        }
        for (source, last) in log.sources {
            let entry = self.log.sources.entry(source).or_default();
            *entry = last.max(*entry);
        }
        self.replay(&log.deltas, is_frozen);
        Ok(())
    }

    /// The sources as they were when the checkpoint began.
    fn note_begun_sources(&self, recovered: &mut Recovered) {
        let sources = &self.log.sources;
        recovered.begun_sources.get_or_insert_with(|| {
            sources
                .iter()
                .map(|(source, last)| (*source, *last))
                .collect()
        });
    }

    /// Ends recovery; before the first `step`.
    pub fn recover_finish(&mut self, now_us: u64) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        let Some(mut recovered) = self.recovering.take() else {
            return Err(Fatal::State("recovery was finished".to_owned()));
        };
        self.event_keys.check_recovered()?;
        self.note_begun_sources(&mut recovered);
        let begun = recovered.begun.unwrap_or_default();
        let last = recovered.log.map_or(0, |(_, last)| last);
        self.log.next = last.max(recovered.through).max(begun) + 1;
        self.log.first = recovered.log.map_or(self.log.next, |(first, _)| first);
        self.log.delete_through = recovered.through;
        let unfinished = recovered.unfinished();
        let sources = recovered.begun_sources.take().unwrap_or_default();
        self.checkpoint
            .recovered(recovered.through, unfinished.map(|begun| (begun, sources)));
        self.triggers.recover_finish(self.now_ms());
        Ok(())
    }
}
