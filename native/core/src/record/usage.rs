//! Lists of usage deltas: what an exchange added to the counters of accounts, a cell each.
//!
//! The same bytes stand in a shard's usage records, in the effect that tells them and in the log of
//! the usage counters. A cell is an account, a category, a tag (or none) and a UTC day.

use super::varint::{Varints, write_varint, write_wide_zigzag, write_zigzag};
use super::{RECORD_HEADER_BYTES, RecordError, RecordType, begin_record, check_record, end_record};
use crate::limits;
use crate::msgpack::check_name;

/// What the daemon counts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BuiltIn {
    MessagesAccepted = 1,
    MessagesRefused = 2,
    MessagesSent = 3,
    MessagesDelivered = 4,
    MessagesUndelivered = 5,
    MessagesFailed = 6,
    MessagesExpired = 7,
    MessagesCancelled = 8,
    MessageAttempts = 9,
    /// Usage: bytes of the payloads that were accepted.
    MessageBytes = 10,
    /// Usage: cost that was accepted.
    Segments = 11,
    /// Messages with a billable outcome. Usage: their cost.
    Messages = 12,
    MessagesInbound = 13,
    ApiRequests = 20,
    ApiRequestsRefused = 21,
    Permits = 22,
    PermitSeconds = 23,
    PermitsImpeded = 24,
    Webhooks = 25,
    /// The sum of the prices of all categories; in no delta list.
    TotalPrice = 26,
}

const BUILT_IN: [(BuiltIn, &str); 20] = [
    (BuiltIn::MessagesAccepted, "messages-accepted"),
    (BuiltIn::MessagesRefused, "messages-refused"),
    (BuiltIn::MessagesSent, "messages-sent"),
    (BuiltIn::MessagesDelivered, "messages-delivered"),
    (BuiltIn::MessagesUndelivered, "messages-undelivered"),
    (BuiltIn::MessagesFailed, "messages-failed"),
    (BuiltIn::MessagesExpired, "messages-expired"),
    (BuiltIn::MessagesCancelled, "messages-cancelled"),
    (BuiltIn::MessageAttempts, "message-attempts"),
    (BuiltIn::MessageBytes, "message-bytes"),
    (BuiltIn::Segments, "segments"),
    (BuiltIn::Messages, "messages"),
    (BuiltIn::MessagesInbound, "messages-inbound"),
    (BuiltIn::ApiRequests, "api-requests"),
    (BuiltIn::ApiRequestsRefused, "api-requests-refused"),
    (BuiltIn::Permits, "permits"),
    (BuiltIn::PermitSeconds, "permit-seconds"),
    (BuiltIn::PermitsImpeded, "permits-impeded"),
    (BuiltIn::Webhooks, "webhooks"),
    (BuiltIn::TotalPrice, "totalprice"),
];

impl BuiltIn {
    pub fn all() -> impl Iterator<Item = Self> {
        BUILT_IN.iter().map(|row| row.0)
    }

    pub const fn number(self) -> u8 {
        self as u8
    }

    pub fn name(self) -> &'static str {
        let row = BUILT_IN.iter().find(|row| row.0 == self);
        row.expect("each has its row").1
    }

    pub fn of_number(number: u8) -> Option<Self> {
        Self::all().find(|category| category.number() == number)
    }

    pub fn of_name(name: &[u8]) -> Option<Self> {
        let row = BUILT_IN.iter().find(|row| row.1.as_bytes() == name);
        row.map(|row| row.0)
    }
}

/// A category of usage: one of the daemon's own, or a free name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category<'a> {
    BuiltIn(BuiltIn),
    /// `[a-z0-9._-]{1,64}`, and not the name of a built-in one.
    Free(&'a [u8]),
}

impl<'a> Category<'a> {
    /// None if it is no name of a category.
    pub fn of_name(name: &'a [u8]) -> Option<Self> {
        if let Some(own) = BuiltIn::of_name(name) {
            return Some(Self::BuiltIn(own));
        }
        let good = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let length = 1..=limits::CATEGORY_BYTES;
        (length.contains(&name.len()) && name.iter().all(good)).then_some(Self::Free(name))
    }

    pub fn name(&self) -> &'a [u8] {
        match *self {
            Self::BuiltIn(own) => own.name().as_bytes(),
            Self::Free(name) => name,
        }
    }

    /// 0: a free one.
    pub const fn number(&self) -> u8 {
        match self {
            Self::BuiltIn(own) => own.number(),
            Self::Free(_) => 0,
        }
    }
}

impl From<BuiltIn> for Category<'_> {
    fn from(own: BuiltIn) -> Self {
        Self::BuiltIn(own)
    }
}

/// What a counter holds, or what is added to one. Price in nano-units (1e-9) of the one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub count: i64,
    pub usage: i128,
    pub price: i128,
}

impl Sums {
    /// At the end of the range it stays there: no counter turns around.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.usage = self.usage.saturating_add(other.usage);
        self.price = self.price.saturating_add(other.price);
    }

    pub const fn is_zero(&self) -> bool {
        self.count == 0 && self.usage == 0 && self.price == 0
    }
}

/// What is added to one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta<'a> {
    pub account: &'a [u8],
    pub category: Category<'a>,
    /// Empty: none.
    pub tag: &'a [u8],
    /// UTC days since 1970.
    pub day: u32,
    pub sums: Sums,
}

/// Collects deltas; those of one account that come together share its name.
#[derive(Clone, Debug, Default)]
pub struct DeltaWriter {
    groups: Vec<u8>,
    group_count: u64,
    /// The group at hand: account and cells.
    account: Vec<u8>,
    cells: Vec<u8>,
    cell_count: u64,
    all_cells: u64,
}

impl DeltaWriter {
    pub fn new() -> Self {
        Self::default()
    }

    pub const fn is_empty(&self) -> bool {
        self.all_cells == 0
    }

    /// Deltas so far.
    pub const fn cells(&self) -> u64 {
        self.all_cells
    }

    /// Bytes so far, but for the count of groups.
    pub fn bytes(&self) -> usize {
        self.groups.len() + self.account.len() + self.cells.len()
    }

    pub fn clear(&mut self) {
        self.groups.clear();
        self.account.clear();
        self.cells.clear();
        (self.group_count, self.cell_count, self.all_cells) = (0, 0, 0);
    }

    /// Names must be names, as `DeltaReader` checks them.
    pub fn add(&mut self, delta: &Delta<'_>) {
        debug_assert!(check_name(delta.account).is_ok(), "account");
        debug_assert!(delta.tag.is_empty() || check_name(delta.tag).is_ok(), "tag");
        if delta.account != self.account {
            self.close();
            self.account.extend_from_slice(delta.account);
        }
        let out = &mut self.cells;
        out.push(delta.category.number());
        if let Category::Free(name) = delta.category {
            write_text(out, name);
        }
        write_text(out, delta.tag);
        write_varint(out, delta.day.into());
        write_zigzag(out, delta.sums.count);
        write_wide_zigzag(out, delta.sums.usage);
        write_wide_zigzag(out, delta.sums.price);
        self.cell_count += 1;
        self.all_cells += 1;
    }

    fn close(&mut self) {
        if self.cell_count > 0 {
            write_text(&mut self.groups, &self.account);
            write_varint(&mut self.groups, self.cell_count);
            self.groups.extend_from_slice(&self.cells);
            self.group_count += 1;
        }
        self.account.clear();
        self.cells.clear();
        self.cell_count = 0;
    }

    /// Begins an account that has that many deltas, for which `cell` is called next. With their number
    /// known they are written once; an exchange may have an account a message.
    #[inline]
    pub fn account(&mut self, account: &[u8], cells: u32) {
        debug_assert!(check_name(account).is_ok(), "account");
        debug_assert!(
            cells > 0 && self.cell_count == 0,
            "cells of the account before"
        );
        write_text(&mut self.groups, account);
        write_varint(&mut self.groups, cells.into());
        self.group_count += 1;
        self.all_cells += u64::from(cells);
    }

    /// A delta without a tag, of a built-in category.
    #[inline]
    pub fn cell(&mut self, category: BuiltIn, day: u32, sums: &Sums) {
        let out = &mut self.groups;
        // What an exchange adds mostly fits a byte each, and days of now three: one write, not eight.
        let (count, usage) = (u8::try_from(sums.count), u8::try_from(sums.usage));
        if let (Ok(count @ ..64), Ok(usage @ ..64)) = (count, usage)
            && sums.price == 0
            && (1 << 14..1 << 21).contains(&day)
        {
            let day = [day as u8 | 0x80, (day >> 7) as u8 | 0x80, (day >> 14) as u8];
            let (count, usage) = (count << 1, usage << 1);
            let number = category.number();
            out.extend_from_slice(&[number, 0, day[0], day[1], day[2], count, usage, 0]);
            return;
        }
        out.extend_from_slice(&[category.number(), 0]);
        write_varint(out, day.into());
        write_zigzag(out, sums.count);
        write_wide_zigzag(out, sums.usage);
        write_wide_zigzag(out, sums.price);
    }

    /// Appends the list and empties the writer.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.close();
        write_varint(out, self.group_count);
        out.extend_from_slice(&self.groups);
        self.clear();
    }
}

/// A delta list, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct DeltaReader<'a> {
    list: &'a [u8],
}

impl<'a> DeltaReader<'a> {
    /// Checks everything, so that the iterator meets no damage. A list without deltas is one, too.
    pub fn parse(list: &'a [u8]) -> Option<Self> {
        let mut deltas = Deltas::of(list)?;
        while !deltas.is_at_end() {
            deltas.read()?;
        }
        deltas.bytes.is_empty().then_some(Self { list })
    }

    pub fn deltas(&self) -> Deltas<'a> {
        Deltas::of(self.list).expect("the list was checked")
    }

    /// The list's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.list
    }
}

/// The deltas of a list, in its order.
#[derive(Clone, Debug)]
pub struct Deltas<'a> {
    bytes: Varints<'a>,
    groups: u64,
    cells: u64,
    account: &'a [u8],
}

impl<'a> Deltas<'a> {
    fn of(list: &'a [u8]) -> Option<Self> {
        let mut bytes = Varints::new(list);
        let groups = bytes.u64()?;
        Some(Self {
            bytes,
            groups,
            cells: 0,
            account: &[],
        })
    }

    const fn is_at_end(&self) -> bool {
        self.groups == 0 && self.cells == 0
    }

    /// None: the bytes are no delta. Each group has a cell, so bytes end before a count misleads.
    fn read(&mut self) -> Option<Delta<'a>> {
        if self.cells == 0 {
            self.groups = self.groups.checked_sub(1)?;
            self.account = read_text(&mut self.bytes)?;
            check_name(self.account).ok()?;
            self.cells = self.bytes.u64()?;
        }
        self.cells = self.cells.checked_sub(1)?;
        let bytes = &mut self.bytes;
        let category = read_category(bytes)?;
        let tag = read_text(bytes)?;
        if !tag.is_empty() {
            check_name(tag).ok()?;
        }
        Some(Delta {
            account: self.account,
            category,
            tag,
            day: bytes.u32()?,
            sums: Sums {
                count: bytes.zigzag()?,
                usage: bytes.wide_zigzag()?,
                price: bytes.wide_zigzag()?,
            },
        })
    }
}

impl<'a> Iterator for Deltas<'a> {
    type Item = Delta<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_at_end() { None } else { self.read() }
    }
}

fn read_category<'a>(bytes: &mut Varints<'a>) -> Option<Category<'a>> {
    let number = bytes.byte()?;
    if number > 0 {
        return BuiltIn::of_number(number).map(Category::BuiltIn);
    }
    // A built-in name is written as its number only.
    Category::of_name(read_text(bytes)?).filter(|category| category.number() == 0)
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    debug_assert!(u8::try_from(text.len()).is_ok());
    out.push(text.len() as u8);
    out.extend_from_slice(text);
}

fn read_text<'a>(bytes: &mut Varints<'a>) -> Option<&'a [u8]> {
    let length = bytes.byte()?;
    bytes.take(usize::from(length))
}

/// Appends a usage record of a shard: `list` is a delta list.
pub fn write_usage_record(out: &mut Vec<u8>, list: &[u8]) {
    let start = begin_record(out, RecordType::Usage);
    out.extend_from_slice(list);
    end_record(out, start);
}

/// The list of a usage record, its checksum not looked at: what goes to the main thread.
pub fn usage_content(value: &[u8]) -> &[u8] {
    &value[RECORD_HEADER_BYTES..]
}

/// Checks a usage record and its list.
pub fn parse_usage_record(value: &[u8]) -> Result<DeltaReader<'_>, RecordError> {
    let (_, list) = check_record(value, RecordType::Usage)?;
    DeltaReader::parse(list).ok_or(RecordError::Damaged)
}
