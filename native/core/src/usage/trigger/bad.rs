//! What is wrong with a trigger that is put: answered as error 5009 with its field.

/// A field of a trigger, and what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    pub field: &'static str,
    pub reason: &'static str,
}

pub(super) const fn check(
    holds: bool,
    field: &'static str,
    reason: &'static str,
) -> Result<(), Bad> {
    if holds {
        Ok(())
    } else {
        Err(Bad { field, reason })
    }
}

impl Bad {
    pub(super) fn json(self) -> String {
        let Self { field, reason } = self;
        format!(r#"{{"error":"badTrigger","details":{{"field":"{field}","reason":"{reason}"}}}}"#)
    }
}
