//! One turn of the main thread: input in, state changed, journal and effects out.

use super::{Fatal, Gate, Stepped};
use crate::error::Code;
use crate::exchange::{EffectsHead, InputEntry, InputOp, InputReader, decode_connect};
use crate::limits::WAKE_AFTER_MS_MAX;

impl Gate {
    /// Takes one input; `effects` and `journal` give what came of it until the next.
    pub fn step(&mut self, now_us: u64, input: &[u8]) -> Result<Stepped, Fatal> {
        if self.recovering.is_some() {
            return Err(Fatal::State(
                "a step before recovery was finished".to_owned(),
            ));
        }
        let reader = InputReader::new(input)?;
        self.exchange = reader.exchange();
        self.now_us = self.now_us.max(now_us);
        self.journal.clear();
        self.flush = false;
        self.begin_counts();
        self.open_again();
        self.fire_leases();
        self.fire_waits();
        self.fire_paces();
        for entry in reader {
            self.entry(entry?)?;
        }
        self.adapt();
        self.sweep_some();
        self.write_journal();
        self.end_counts();
        self.count_now();
        self.wakes = false;
        let head = EffectsHead {
            entries: 0,
            exchange: self.exchange,
            boot_id: self.options.boot_id,
            wake_after_ms: self.wake_after_ms(),
        };
        self.effects.encode(&head, &self.counters);
        Ok(Stepped {
            effects_bytes: self.effects.out.len(),
            journal_bytes: self.journal.bytes().len(),
            flush: self.flush,
        })
    }

    /// Of the last step.
    pub fn effects(&self) -> &[u8] {
        &self.effects.out
    }

    /// Of the last step: one transaction.
    pub fn journal(&self) -> &[u8] {
        self.journal.bytes()
    }

    fn entry(&mut self, entry: InputEntry<'_>) -> Result<(), Fatal> {
        let connection = entry.connection;
        match entry.op {
            InputOp::Frame => self.frame(connection, entry.bytes),
            InputOp::Connect => {
                let connect = decode_connect(entry.bytes)?;
                let tenant = connect.tenant.unwrap_or_default().as_bytes();
                self.connect(connection, connect.scopes, tenant);
            }
            InputOp::Disconnect => self.disconnect(connection),
            InputOp::Park | InputOp::Unpark => {}
            InputOp::Configure => self.configure_entry(connection, entry.bytes)?,
            InputOp::InUse => self.in_use_entry(connection, entry.bytes)?,
            InputOp::Drain => self.drain(connection),
            InputOp::Call => self.call(connection, entry.bytes)?,
            InputOp::GateList => self.list_entry(connection, entry.bytes)?,
            InputOp::GateExplain => self.explain_entry(connection, entry.bytes)?,
            InputOp::GateTop => self.top_entry(connection, entry.bytes)?,
            other => {
                return Err(Fatal::State(format!(
                    "{other:?} is no operation of the gate"
                )));
            }
        }
        Ok(())
    }

    /// The daemon ends: nobody is let in any more, and the store says that nothing is missing.
    fn drain(&mut self, request: u32) {
        self.draining = true;
        let waiting: Vec<u32> = self.all_waiters();
        self.drop_waiters(&waiting, Some(Code::GateRecovering));
        self.log.ends = true;
        self.reply_json(request, r#"{"ok":true}"#);
    }

    pub(super) fn reply_json(&mut self, request: u32, text: &str) {
        self.effects.replies.json(request, text.as_bytes());
    }

    fn count_now(&mut self) {
        let counters = &mut self.counters;
        counters.waiting = self.waiters.count() as u64;
        counters.permits = self.permits.count() as u64;
        counters.keys = self.key_of.len() as u64;
        counters.resources = self.names.resources.len() as u64;
        counters.tenants = self.names.tenants.len() as u64;
        counters.log_bytes = self.log.bytes;
        counters.recovering_until_ms = self.closed_until_us.div_ceil(1000);
    }

    /// Milliseconds until something is to be done without new input.
    fn wake_after_ms(&self) -> u32 {
        if self.snapshot_has_work() {
            return 0;
        }
        let at_us = self
            .leases
            .next_us()
            .min(self.waits.next_us())
            .min(self.paces.next_us())
            .min(self.next_adapt_us())
            .min(self.counts.next_us())
            .min(if self.closed_until_us > 0 {
                self.closed_until_us
            } else {
                u64::MAX
            });
        at_us
            .saturating_sub(self.now_us)
            .div_ceil(1000)
            .clamp(1, u64::from(WAKE_AFTER_MS_MAX)) as u32
    }
}
