//! Client frames: use; from a connection, or from a call without one.

use super::calendar::day_of_ms;
use super::counters::Kind;
use super::tally::{Refusal, Tally};
use super::{Fatal, Usage};
use crate::client_frame::{self, UseItem, decode_use, frame_kind_and_id};
use crate::daemon_frame::{Refused, write_use_ok};
use crate::error::Code;
use crate::exchange::{SCOPE_PLATFORM, SCOPE_USAGE, decode_call};
use crate::limits::{USAGE_AHEAD_MS, USAGE_LATE_MS};
use crate::record::BuiltIn;
use crate::replies::FrameSender;

/// When a checkpoint may have made room.
const OVERLOADED_RETRY_MS: u64 = 1000;

pub(super) struct Connection {
    pub scopes: u8,
    /// Empty: the platform.
    pub tenant: Box<[u8]>,
}

/// A frame that is being served.
#[derive(Clone, Copy)]
struct Served<'a> {
    sender: FrameSender<'a>,
    frame: &'a [u8],
    items: &'a [UseItem],
}

impl<'a> Served<'a> {
    fn tenant(&self, item: &UseItem) -> &'a [u8] {
        item.tenant(self.frame).unwrap_or(self.sender.tenant)
    }
}

enum Verdict {
    Counted,
    Repeated,
}

impl Usage {
    pub(super) fn frame(&mut self, connection: u32, frame: &[u8]) {
        let Some(client) = self.connections.get(&connection) else {
            return;
        };
        // Copied to the stack: the counters change while the frame is served.
        let mut room = [0; 255];
        let length = client.tenant.len();
        room[..length].copy_from_slice(&client.tenant);
        let sender = FrameSender {
            connection,
            scopes: client.scopes,
            tenant: &room[..length],
        };
        self.frame_of(sender, frame);
    }

    /// A client frame that the REST interface sends, with the rights it says.
    pub(super) fn call(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let call = decode_call(bytes)?;
        self.frame_of(FrameSender::of_call(request, &call)?, call.frame);
        Ok(())
    }

    fn frame_of(&mut self, sender: FrameSender<'_>, frame: &[u8]) {
        let (kind, id) = match frame_kind_and_id(frame) {
            Ok(head) => head,
            Err(error) => return self.effects.replies.frame_error(sender.connection, &error),
        };
        if kind != client_frame::KIND_USE {
            let message = format!("frame kind {kind} is not known");
            return self.reply_error(sender, id, Code::UnknownKind, &message, None);
        }
        if sender.scopes & SCOPE_USAGE == 0 {
            let message = format!("frames of kind {kind} need the scope the token lacks");
            return self.reply_error(sender, id, Code::ScopeMissing, &message, None);
        }
        let mut items = std::mem::take(&mut self.items);
        match decode_use(frame, &mut items) {
            Ok(id) => self.use_frame(
                id,
                &Served {
                    sender,
                    frame,
                    items: &items,
                },
            ),
            Err(error) => self.effects.replies.frame_error(sender.connection, &error),
        }
        self.items = items;
    }

    fn use_frame(&mut self, id: u32, served: &Served<'_>) {
        let sender = served.sender;
        if let Some((index, code)) = misplaced(served) {
            let message = match code {
                Code::TenantRequired => {
                    format!("entry {index}: a token of the platform has to name the tenant")
                }
                _ => format!("entry {index}: the token is of another tenant"),
            };
            return self.reply_error(sender, id, code, &message, Some(index));
        }
        let mut tally = std::mem::take(&mut self.tally);
        tally.clear();
        let mut last = 0;
        for (index, item) in served.items.iter().enumerate() {
            match self.use_one(served, &mut tally, index, &mut last) {
                Ok(Verdict::Counted) => {
                    tally.counted += 1;
                    self.counters.corrections += u64::from(is_correction(item));
                }
                Ok(Verdict::Repeated) => tally.repeated += 1,
                Err((code, retry_after_ms)) => tally.refused.push(Refusal {
                    index: index as u32,
                    code,
                    retry_after_ms,
                }),
            }
        }
        for line in tally.lines.iter().filter(|line| line.has_some) {
            let item = &served.items[line.item as usize];
            let category = item.category(served.frame);
            let cell = (line.account, line.day);
            let what = (&line.sums, line.events);
            let (tag, untagged) = (item.tag(served.frame), Kind { category, tag: b"" });
            self.fold(cell, untagged, what);
            if !tag.is_empty() {
                self.fold(cell, Kind { category, tag }, what);
            }
            self.fold_price(cell, category, line.sums.price);
        }
        self.counters.counted += u64::from(tally.counted);
        self.counters.repeated += u64::from(tally.repeated);
        self.counters.refused += tally.refused.len() as u64;
        if id > 0 {
            let refused = tally.refused.iter().map(|refusal| Refused {
                index: refusal.index,
                code: refusal.code.number(),
                retry_after_ms: refusal.retry_after_ms,
            });
            self.effects.replies.frame(sender.connection, |out| {
                write_use_ok(out, id, (tally.counted, tally.repeated), refused);
            });
        }
        self.tally = tally;
    }

    #[inline]
    fn use_one(
        &mut self,
        served: &Served<'_>,
        tally: &mut Tally,
        index: usize,
        last: &mut usize,
    ) -> Result<Verdict, (Code, Option<u64>)> {
        let item = &served.items[index];
        let now_ms = self.now_ms();
        let at_ms = item.at_ms.unwrap_or(now_ms);
        if at_ms.saturating_add(USAGE_LATE_MS) < now_ms || at_ms > now_ms + USAGE_AHEAD_MS {
            return Err((Code::EventTime, None));
        }
        let day = day_of_ms(at_ms);
        let (at, is_new) =
            tally.line_of(self.hash, served.frame, (served.items, index), (day, *last));
        *last = at;
        if is_new {
            self.open_line(served, tally, at);
        }
        let line = &mut tally.lines[at];
        if let Some(code) = line.refused {
            return Err((code, retry_of(code)));
        }
        if is_correction(item) && served.sender.scopes & SCOPE_PLATFORM == 0 {
            return Err((Code::CorrectionForbidden, None));
        }
        let tenant = served.tenant(item);
        let hash = item
            .key(served.frame)
            .map(|key| self.event_keys.hash(tenant, key));
        if let Some(hash) = &hash {
            if self.event_keys.has(hash) {
                return Ok(Verdict::Repeated);
            }
            let account = self.accounts.find(tenant);
            let of_one = account.map_or(0, |account| self.accounts.get(account).event_keys);
            if of_one >= self.options.event_keys_max
                || self.event_keys.len() >= self.bounds.event_keys
            {
                let retry_after_ms = self.event_keys.room_after_ms(now_ms);
                return Err((Code::TooManyEventKeys, Some(retry_after_ms)));
            }
        }
        if !line.has_some {
            let kind = Kind {
                category: item.category(served.frame),
                tag: item.tag(served.frame),
            };
            match self.open_counters(tenant, kind) {
                Ok(account) => line.account = account,
                Err(code) => {
                    line.refused = Some(code);
                    return Err((code, retry_of(code)));
                }
            }
            line.has_some = true;
        }
        if let Some(hash) = hash {
            let accounts = &mut self.accounts;
            self.event_keys.insert(now_ms, line.account, hash, accounts);
        }
        let quantity = i128::from(item.quantity);
        line.sums.count = line.sums.count.saturating_add(item.count);
        line.sums.usage += quantity;
        if let Some(price) = &line.price {
            line.sums.price += price.amount(at_ms, item.count, quantity);
        }
        line.events += u64::from(!is_correction(item));
        Ok(Verdict::Counted)
    }

    /// What holds for all events of a line.
    fn open_line(&mut self, served: &Served<'_>, tally: &mut Tally, at: usize) {
        let line = &mut tally.lines[at];
        let item = &served.items[line.item as usize];
        let category = item.category(served.frame);
        if BuiltIn::of_name(category).is_some() {
            line.refused = Some(Code::CategoryReserved);
        } else if self.dirty_cells() + self.fresh.len() >= self.bounds.dirty_cells {
            line.refused = Some(Code::Overloaded);
        } else {
            line.price = self.price_of(category, served.tenant(item));
        }
    }

    /// Makes the counters of an event exist, within their bounds; its account.
    fn open_counters(&mut self, tenant: &[u8], kind: Kind<'_>) -> Result<u32, Code> {
        let untagged = Kind { tag: b"", ..kind };
        let account = self.accounts.find(tenant);
        let is_known =
            |kind| account.is_some_and(|account| self.counters_of.is_known(account, kind));
        let new =
            u32::from(!is_known(untagged)) + u32::from(!kind.tag.is_empty() && !is_known(kind));
        if new > 0 && !self.has_room_for(account, new) {
            return Err(Code::TooManyCounters);
        }
        let account = account.unwrap_or_else(|| self.accounts.open(tenant));
        self.note_counter(account, untagged);
        self.note_counter(account, kind);
        Ok(account)
    }

    fn reply_error(
        &mut self,
        sender: FrameSender<'_>,
        id: u32,
        code: Code,
        message: &str,
        index: Option<u32>,
    ) {
        let replies = &mut self.effects.replies;
        replies.error(sender.connection, id, code.number(), message, index, None);
    }
}

const fn is_correction(item: &UseItem) -> bool {
    item.quantity < 0 || item.count < 0
}

const fn retry_of(code: Code) -> Option<u64> {
    match code {
        Code::Overloaded => Some(OVERLOADED_RETRY_MS),
        _ => None,
    }
}

/// The first event that names another tenant than the token's, or none where the token has none.
fn misplaced(served: &Served<'_>) -> Option<(u32, Code)> {
    let own = served.sender.tenant;
    let code_of = |item: &UseItem| match item.tenant(served.frame) {
        None => own.is_empty().then_some(Code::TenantRequired),
        Some(tenant) => (!own.is_empty() && tenant != own).then_some(Code::TenantForbidden),
    };
    let mut items = served.items.iter().enumerate();
    items.find_map(|(index, item)| code_of(item).map(|code| (index as u32, code)))
}
