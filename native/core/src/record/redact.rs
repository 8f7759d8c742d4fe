//! Takes what messages said out of a stored record; that they were there stays known.

use super::RecordError;
use super::batch::{BatchRecord, MESSAGE_REDACTED};
use super::batch_builder::BatchRecordBuilder;
use crate::error::Code;
use crate::msgpack::{Reader, write_bin, write_nil};

/// The batch record `value` with these messages redacted: no recipient, an empty payload, no status
/// callback. Whose they were stays (tenant, sender), and what they counted as (the other options).
/// Indexes that the record does not have are passed over.
///
/// # Errors
/// If the record, or a body that is to be redacted, is damaged.
pub fn redact_record(value: &[u8], indexes: &[u16]) -> Result<Vec<u8>, RecordError> {
    let record = BatchRecord::parse(value)?;
    let names: Vec<&str> = record.destinations().collect();
    let mut builder = BatchRecordBuilder::uncut();
    builder.begin(record.batch(), record.accepted_ms(), record.log());
    for message in record.messages() {
        let mut options = message.options();
        let mut kept = message.body;
        let is_redacted = indexes.contains(&message.index);
        if is_redacted {
            options.callback = "";
            kept = whose(message.body).map_err(|_| RecordError::Damaged)?;
        }
        let destination = message.destination;
        let name = names[usize::from(destination)];
        builder.push(
            message.index,
            destination.into(),
            name,
            Some(&options),
            |out| {
                out.extend_from_slice(kept);
                if is_redacted {
                    write_nil(out);
                    write_bin(out, &[]);
                }
            },
        );
        if is_redacted || message.flags & MESSAGE_REDACTED != 0 {
            builder.mark_redacted();
        }
    }
    let closed = builder.finish().expect("a record has a message");
    Ok(closed.value)
}

/// Tenant and sender of a body, as they are stored.
fn whose(body: &[u8]) -> Result<&[u8], Code> {
    let mut reader = Reader::new(body);
    reader.skip()?;
    reader.skip()?;
    let end = reader.position();
    reader.skip()?;
    reader.skip()?;
    reader.end()?;
    Ok(&body[..end])
}
