//! Requests about messages: those of operators, and the receipts of gateways.

use super::batches::{self, DELIVERED, FAILED, SENT, UNDELIVERED};
use super::jobs::{Answer, Job, Redacting, Task};
use super::listing::{Filter, Listing, Mode};
use super::trace::Trace;
use super::{Extra, Fatal, OUTCOME_UNDELIVERED, REASON_FAILED, REASON_UNDELIVERED, Shard};
use crate::client_frame::{self, RECEIPT_DELIVERED, RECEIPT_UNDELIVERED, Receipt, decode_receipt};
use crate::daemon_frame::write_settle_ok;
use crate::exchange::{
    InputOp, decode_cancel_all, decode_choose_dead, decode_dead_letters, decode_erase, decode_find,
    decode_list, decode_redact,
};
use crate::record;

fn bytes(name: Option<&str>) -> Box<[u8]> {
    name.unwrap_or_default().as_bytes().into()
}

impl Shard {
    pub(super) fn message_entry(
        &mut self,
        op: InputOp,
        request: u32,
        input: &[u8],
    ) -> Result<(), Fatal> {
        let answer = Answer::Json { request };
        let listing = |mode, filter, cursor: &str, limit: u32| {
            let listing = Listing::new(mode, filter, cursor, limit as usize);
            Job::new(answer, &[], Vec::new(), Task::List(Box::new(listing)))
        };
        let job = match op {
            InputOp::Find => {
                let asked = decode_find(input)?;
                let task = Task::Find {
                    text: None,
                    trace: asked.trace.then(Trace::default),
                };
                let keys = vec![self.key_of(&asked.id)];
                Job::new(answer, &bytes(asked.tenant), keys, task)
            }
            InputOp::Redact => {
                let asked = decode_redact(input)?;
                let keys = vec![self.key_of(&asked.id)];
                Job::new(
                    answer,
                    &bytes(asked.tenant),
                    keys,
                    Task::Redact(<_>::default()),
                )
            }
            InputOp::Forget => {
                let asked = decode_redact(input)?;
                let keys = vec![self.key_of(&asked.id)];
                let redacting = Redacting::to_forget();
                Job::new(answer, &bytes(asked.tenant), keys, Task::Redact(redacting))
            }
            InputOp::List => {
                let asked = decode_list(input)?;
                let filter = Filter {
                    destination: bytes(asked.destination),
                    tenant: bytes(asked.tenant),
                    ..Filter::default()
                };
                let mode = Mode::Messages {
                    statuses: asked.statuses,
                    from_ms: asked.from_ms,
                    to_ms: asked.to_ms,
                    newest_first: asked.newest_first,
                };
                listing(mode, filter, asked.cursor, asked.limit)
            }
            InputOp::DeadLetters => {
                let asked = decode_dead_letters(input)?;
                let filter = Filter {
                    destination: bytes(asked.destination),
                    tenant: bytes(asked.tenant),
                    ..Filter::default()
                };
                listing(Mode::DeadLetters, filter, asked.cursor, asked.limit)
            }
            InputOp::CancelAll => {
                let asked = decode_cancel_all(input)?;
                let filter = Filter {
                    destination: bytes(asked.destination),
                    tenant: bytes(asked.tenant),
                    sender: bytes(asked.sender),
                };
                listing(Mode::Cancel, filter, "", 1)
            }
            InputOp::Erase => {
                let asked = decode_erase(input)?;
                let filter = Filter {
                    tenant: asked.tenant.as_bytes().into(),
                    ..Filter::default()
                };
                listing(Mode::Erase, filter, asked.cursor, 1)
            }
            _ => {
                let asked = decode_choose_dead(input)?;
                let is_replay = op == InputOp::Replay;
                if let Some(ids) = &asked.ids {
                    let task = if is_replay {
                        Task::Replay(0)
                    } else {
                        Task::Purge(0)
                    };
                    Job::new(answer, &bytes(asked.tenant), self.keys_of(ids), task)
                } else {
                    let filter = Filter {
                        destination: bytes(asked.destination),
                        tenant: bytes(asked.tenant),
                        ..Filter::default()
                    };
                    let mode = if is_replay { Mode::Replay } else { Mode::Purge };
                    listing(mode, filter, "", u32::MAX)
                }
            }
        };
        self.add_job(job);
        Ok(())
    }

    /// What became of messages that were sent. A receipt of a message that is no longer remembered,
    /// or was never sent, is counted as unknown.
    pub(super) fn receipt(&mut self, connection: u32, frame: &[u8]) {
        let mut receipts = Vec::new();
        let id = match decode_receipt(frame, &mut receipts) {
            Ok(id) => id,
            Err(error) => return self.replies.frame_error(connection, &error),
        };
        let mut applied = 0;
        for receipt in &receipts {
            applied += u32::from(self.apply_receipt(receipt));
        }
        if id > 0 {
            let unknown = receipts.len() as u32 - applied;
            self.reply(connection, |out| write_settle_ok(out, id, applied, unknown));
        }
    }

    fn apply_receipt(&mut self, receipt: &Receipt) -> bool {
        let Some(key) = self.key_of(&receipt.id) else {
            return false;
        };
        let before = self.state_of(key);
        // What was delivered stays so, whatever comes later.
        if !matches!(before, SENT | UNDELIVERED | FAILED | DELIVERED) {
            return false;
        }
        let state = match receipt.status {
            RECEIPT_DELIVERED => DELIVERED,
            RECEIPT_UNDELIVERED => UNDELIVERED,
            _ => FAILED,
        };
        let later =
            before == DELIVERED || before == state || (before != SENT && state != DELIVERED);
        if later {
            return true;
        }
        let code = receipt.code.filter(|&code| code > 0 && state != DELIVERED);
        let extra = self.extras.get(&key).copied().unwrap_or_default();
        if let Some(code) = code {
            let reason = if state == FAILED {
                REASON_FAILED
            } else {
                REASON_UNDELIVERED
            };
            self.returns.push(record::Return {
                key,
                reason,
                attempts: extra.attempts.max(1),
                due_ms: u64::from(code),
                flags: extra.flags,
            });
            self.keep_extra(
                key,
                Extra {
                    attempts: extra.attempts.max(1),
                    flags: extra.flags,
                    detail: u64::from(code),
                },
            );
        } else {
            let outcome = match state {
                DELIVERED => client_frame::OUTCOME_DELIVERED,
                UNDELIVERED => OUTCOME_UNDELIVERED,
                _ => client_frame::OUTCOME_FAILED,
            };
            self.note_settled(key, outcome);
            if let Some(extra) = self.extras.get_mut(&key) {
                extra.detail = 0;
            }
        }
        match state {
            DELIVERED => self.counters.settled_delivered += 1,
            UNDELIVERED => self.counters.undelivered += 1,
            _ => self.counters.settled_failed += 1,
        }
        let number = batches::batch_of(key);
        let now_ms = self.now_us / 1000;
        let batch = self.batches.get_mut(number).expect("it has a state");
        batch.end(batches::index_of(key), state, now_ms);
        let counted = batch.counted(batches::index_of(key));
        batch.log_last = self.next_log;
        if !batch.dirty {
            batch.dirty = true;
            self.checkpoint.dirty.push(number);
        }
        self.count_end(counted, before, state);
        self.note_status_if_asked(key);
        true
    }
}
