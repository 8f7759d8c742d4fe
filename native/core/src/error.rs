//! Error numbers the core raises: the same numbers as `src/errors.ts` (a test compares them).

/// An operating error of the protocol; the number goes to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Code {
    MalformedFrame = 1001,
    UnknownKind = 1002,
    WrongType = 1003,
    FieldTooLong = 1004,
    FrameTooLarge = 1005,
    TooManyMessages = 1006,
    NotYetSupported = 1007,
    InvalidName = 1008,
    PayloadTooLarge = 1009,
    Overloaded = 1010,
    InvalidOption = 1020,
    ScopeMissing = 2004,
    TenantForbidden = 2005,
    UnknownDestination = 3001,
    QueueFull = 3002,
    TenantFull = 3003,
    ShardFull = 3004,
    TooManyQueues = 3005,
    UnknownSubscription = 3006,
    SubscriptionInUse = 3007,
    CreditTooLarge = 3008,
    TooManySubscriptions = 3009,
    TenantRequired = 3013,
    DiskFull = 3014,
    TooManyKeys = 3018,
    MessageNotFound = 3019,
    MessageEnded = 3020,
    MessageInFlight = 3021,
    RefusingNew = 3022,
    WouldExpire = 3023,
    AttemptsExhausted = 3024,
    InDoubt = 3025,
    ValidityOver = 3026,
    MessageNotEnded = 3027,
    UnknownPool = 3028,
    UnknownGateway = 3029,
    UnknownResource = 4001,
    ConcurrencyLimit = 4002,
    WouldWaitTooLong = 4003,
    WaitersFull = 4004,
    PermitGone = 4005,
    TooManyGateKeys = 4006,
    WaitOver = 4007,
    TooManyPermits = 4008,
    GateRecovering = 4009,
    EventTime = 5001,
    TooManyCounters = 5002,
    CorrectionForbidden = 5003,
    CategoryReserved = 5004,
    TooManyEventKeys = 5005,
    CapReached = 5006,
    TriggerNotFound = 5007,
    TooManyTriggers = 5008,
    BadTrigger = 5009,
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }
}
