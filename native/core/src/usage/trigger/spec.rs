//! What a trigger is told to watch for, and what it then does: as configured, without its state.

use super::bad::{Bad, check};
use super::wire::{self, nano_or_whole};
use crate::limits::{
    CALLBACK_BYTES, TRIGGER_CALLBACKS, TRIGGER_EVERY_MAX, TRIGGER_NAME_CHARS, TRIGGER_THRESHOLDS,
    TRIGGER_WINDOW_MS_MAX, TRIGGER_WINDOW_MS_MIN,
};
use crate::record::{Category, Sums};
use crate::usage::calendar::PeriodKind;

/// No value is above it: so many digits leave room for sums of values.
pub(super) const VALUE_MAX: i128 = 10_i128.pow(36);

/// Which sum of a counter is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum By {
    Count = 0,
    Usage = 1,
    /// In nano-units.
    Price = 2,
}

impl By {
    pub const ALL: [Self; 3] = [Self::Count, Self::Usage, Self::Price];

    pub fn of(self, sums: &Sums) -> i128 {
        match self {
            Self::Count => sums.count.into(),
            Self::Usage => sums.usage,
            Self::Price => sums.price,
        }
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Usage => "usage",
            Self::Price => "price",
        }
    }

    /// A number of it as text: prices with nine decimal digits.
    pub fn text(self, value: i128) -> String {
        nano_or_whole(self == Self::Price, value)
    }
}

/// How often it can fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Recurring {
    /// Once each value, over all time.
    None = 0,
    Daily = 1,
    Monthly = 2,
    Yearly = 3,
    AllTime = 4,
}

impl Recurring {
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Daily,
        Self::Monthly,
        Self::Yearly,
        Self::AllTime,
    ];

    pub const fn period(self) -> PeriodKind {
        match self {
            Self::Daily => PeriodKind::Day,
            Self::Monthly => PeriodKind::Month,
            Self::Yearly => PeriodKind::Year,
            Self::None | Self::AllTime => PeriodKind::AllTime,
        }
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Daily => "daily",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::AllTime => "alltime",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    pub url: Box<str>,
    /// 0 POST, 1 GET.
    pub method: u8,
    /// 0 the form style, 1 Standard Webhooks.
    pub form: u8,
}

/// What happens inside the platform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Action {
    /// 0 pause the tenant, 1 cap its rate, 2 cap its concurrency, 3 refuse its messages, 4 a ledger
    /// line, 5 an event of the protocol.
    pub kind: u8,
    pub number: Option<f64>,
    pub code: Option<u32>,
}

/// Names of the actions in JSON, by number.
pub(super) const ACTIONS: [&str; 6] = [
    "pause",
    "capRate",
    "capConcurrency",
    "refuse",
    "ledger",
    "event",
];

#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub account: Box<str>,
    pub category: Box<str>,
    /// Empty: none.
    pub tag: Box<str>,
    pub by: By,
    /// The first value; of `Price` in nano-units, as all numbers below.
    pub value: i128,
    /// Values are counted from the total when the trigger was made.
    pub relative: bool,
    /// Further values, ascending, all above the first.
    pub thresholds: Box<[i128]>,
    /// After the last value, each further step fires, too.
    pub step: Option<i128>,
    pub recurring: Recurring,
    /// A rate: fires when more than the value is counted within that time.
    pub window_ms: Option<u64>,
    /// A total or rate below it makes that all values can fire again.
    pub rearm_below: Option<i128>,
    /// Evaluated when the period's count passes a multiple of it; of a rate, after so many events.
    pub every_n: u32,
    pub callbacks: Box<[Callback]>,
    pub action: Option<Action>,
    pub friendly_name: Option<Box<str>>,
    /// Watches the account and all accounts below it, as one.
    pub sub_accounts: bool,
}

impl Spec {
    /// The value of an index: the first, the further ones, then steps; none above the last.
    pub fn value_at(&self, index: u64) -> Option<i128> {
        let further = self.thresholds.len() as u64;
        if index == 0 {
            return Some(self.value);
        }
        if index <= further {
            return Some(self.thresholds[index as usize - 1]);
        }
        let steps = i128::from(index - further);
        self.last_value()
            .checked_add(self.step?.checked_mul(steps)?)
    }

    /// How many values a total has reached, which is the index of the next one.
    pub fn reached(&self, total: i128) -> u64 {
        if total < self.value {
            return 0;
        }
        let further = self.thresholds.partition_point(|value| *value <= total);
        if further < self.thresholds.len() {
            return 1 + further as u64;
        }
        let beyond = total.saturating_sub(self.last_value());
        let steps = self.step.map_or(0, |step| beyond / step);
        (1 + further as u64).saturating_add(u64::try_from(steps).unwrap_or(u64::MAX))
    }

    fn last_value(&self) -> i128 {
        self.thresholds.last().copied().unwrap_or(self.value)
    }

    /// Whether what fires is the same: then a change keeps what has fired.
    pub(super) fn fires_as(&self, other: &Self) -> bool {
        (
            &self.category,
            &self.tag,
            self.by,
            self.value,
            self.relative,
        ) == (
            &other.category,
            &other.tag,
            other.by,
            other.value,
            other.relative,
        ) && (
            &self.thresholds,
            self.step,
            self.recurring,
            self.window_ms,
            self.sub_accounts,
        ) == (
            &other.thresholds,
            other.step,
            other.recurring,
            other.window_ms,
            other.sub_accounts,
        )
    }

    /// Checks everything that its types do not say.
    pub(super) fn check(&self) -> Result<(), Bad> {
        check(wire::is_name(&self.account), "tenant", "has to be a name")?;
        let category = Category::of_name(self.category.as_bytes());
        check(
            category.is_some(),
            "category",
            "has to be 1 to 64 of a-z, 0-9, '.', '_' and '-'",
        )?;
        let tag = self.tag.is_empty() || wire::is_name(&self.tag);
        check(tag, "tag", "has to be a name")?;
        self.check_values()?;
        let window = TRIGGER_WINDOW_MS_MIN..=TRIGGER_WINDOW_MS_MAX;
        let fits = self
            .window_ms
            .is_none_or(|window_ms| window.contains(&window_ms));
        check(fits, "windowMs", "has to be 1 s to 31 days")?;
        let every = (1..=TRIGGER_EVERY_MAX).contains(&self.every_n);
        check(every, "everyN", "has to be 1 to 1,000,000,000")?;
        self.check_consequences()
    }

    fn check_values(&self) -> Result<(), Bad> {
        let fits = |value: i128| (1..=VALUE_MAX).contains(&value);
        check(
            fits(self.value),
            "value",
            "has to be above 0 and at most 1e36",
        )?;
        let few = self.thresholds.len() <= TRIGGER_THRESHOLDS;
        check(few, "thresholds", "has to have at most 16 values")?;
        let mut before = self.value;
        for value in &self.thresholds {
            let ascends = *value > before && fits(*value);
            check(ascends, "thresholds", "has to ascend from above the value")?;
            before = *value;
        }
        check(
            self.step.is_none_or(fits),
            "step",
            "has to be above 0 and at most 1e36",
        )?;
        let absolute = self.recurring == Recurring::None && self.window_ms.is_none();
        let relative = !self.relative || absolute;
        check(relative, "relative", "is for totals that do not recur")?;
        let below = |low: i128| (-VALUE_MAX..=self.value).contains(&low);
        let rearm = self.rearm_below.is_none_or(below);
        check(rearm, "rearmBelow", "has to be at most the value")
    }

    fn check_consequences(&self) -> Result<(), Bad> {
        let few = self.callbacks.len() <= TRIGGER_CALLBACKS;
        check(few, "callbacks", "has to have at most 5")?;
        for callback in &self.callbacks {
            let scheme = ["http://", "https://"]
                .iter()
                .any(|start| callback.url.starts_with(start));
            let printed = callback.url.bytes().all(|byte| byte > b' ' && byte != 0x7f);
            let fits = callback.url.len() <= CALLBACK_BYTES;
            check(
                scheme && printed && fits,
                "callbacks",
                "has to have http or https addresses",
            )?;
            check(
                callback.method <= 1,
                "callbacks",
                "has to have the method POST or GET",
            )?;
            check(
                callback.form <= 1,
                "callbacks",
                "has to have the form form or standard",
            )?;
        }
        if let Some(action) = self.action {
            let known = usize::from(action.kind) < ACTIONS.len();
            check(known, "action", "has to be of a known kind")?;
            let number = action
                .number
                .is_none_or(|number| number.is_finite() && number >= 0.0);
            check(number, "action", "has to have a number of at least 0")?;
        }
        let short = |name: &str| name.chars().count() <= TRIGGER_NAME_CHARS;
        let name = self.friendly_name.as_deref().is_none_or(short);
        check(name, "friendlyName", "has to have at most 64 characters")
    }
}
