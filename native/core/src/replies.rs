//! What an exchange answers: frames, JSON and closes, in the order in which they were written and handed
//! out by connection. Shard, gate and usage counters all answer through it.

use crate::client_frame::FrameError;
use crate::daemon_frame::{ErrorDetails, write_error, write_frame_error};
use crate::error::Code;
use crate::exchange::{Call, EffectOp, ExchangeError, write_effect};

/// Set in the number of a connection that is none but a request of the REST interface.
pub(crate) const CALL: u32 = 1 << 31;
/// Close code for bytes that are no frame.
const CLOSE_MALFORMED: u16 = 4400;

/// Who sent a frame.
#[derive(Clone, Copy)]
pub(crate) struct FrameSender<'a> {
    /// With `CALL`: a request.
    pub connection: u32,
    pub scopes: u8,
    /// Empty: the platform.
    pub tenant: &'a [u8],
}

impl<'a> FrameSender<'a> {
    /// Of a client frame that the REST interface sends, with the rights it says.
    pub fn of_call(request: u32, call: &Call<'a>) -> Result<Self, ExchangeError> {
        if request & CALL != 0 {
            let what = "request's number";
            return Err(ExchangeError { what, at: 0 });
        }
        Ok(Self {
            connection: request | CALL,
            scopes: call.scopes,
            tenant: call.tenant,
        })
    }

    pub const fn is_call(&self) -> bool {
        self.connection & CALL != 0
    }
}

/// An effect; its bytes lie in `Replies::bytes`.
#[derive(Clone, Copy)]
pub(crate) struct Reply {
    op: EffectOp,
    pub connection: u32,
    start: u32,
    end: u32,
}

#[derive(Default)]
pub(crate) struct Replies {
    list: Vec<Reply>,
    bytes: Vec<u8>,
}

impl Replies {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn list(&self) -> &[Reply] {
        &self.list
    }

    /// Where what is written next begins.
    pub fn start(&self) -> usize {
        self.bytes.len()
    }

    /// To append to before `push` or `push_frame`, from `start` on.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// An effect whose bytes were appended from `start` on.
    pub fn push(&mut self, op: EffectOp, connection: u32, start: usize) {
        self.list.push(Reply {
            op,
            connection,
            start: start as u32,
            end: self.bytes.len() as u32,
        });
    }

    /// A frame that was appended from `start` on, to a connection or, with `CALL`, a request.
    pub fn push_frame(&mut self, connection: u32, start: usize) {
        let op = if connection & CALL == 0 {
            EffectOp::Send
        } else {
            EffectOp::ReplyFrame
        };
        self.push(op, connection & !CALL, start);
    }

    pub fn write(&mut self, op: EffectOp, connection: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.start();
        write(&mut self.bytes);
        self.push(op, connection, start);
    }

    pub fn frame(&mut self, connection: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.start();
        write(&mut self.bytes);
        self.push_frame(connection, start);
    }

    pub fn json(&mut self, request: u32, text: &[u8]) {
        self.write(EffectOp::Reply, request, |out| out.extend_from_slice(text));
    }

    /// Answers a frame that was refused as a whole; bytes that are no frame also end the socket.
    pub fn frame_error(&mut self, connection: u32, error: &FrameError) {
        self.frame(connection, |out| write_frame_error(out, error));
        if error.code == Code::MalformedFrame && connection & CALL == 0 {
            self.write(EffectOp::Close, connection, |out| {
                out.extend_from_slice(&CLOSE_MALFORMED.to_le_bytes());
            });
        }
    }

    pub fn error(
        &mut self,
        connection: u32,
        id: u32,
        code: u32,
        message: &str,
        index: Option<u32>,
        retry_after_ms: Option<u64>,
    ) {
        let details = ErrorDetails {
            index,
            key: None,
            retry_after_ms,
        };
        self.frame(connection, |out| {
            write_error(out, id, code, message, &details);
        });
    }

    /// Appends one to `out`.
    pub fn encode(&self, reply: Reply, out: &mut Vec<u8>) {
        let bytes = &self.bytes[reply.start as usize..reply.end as usize];
        write_effect(out, reply.op, reply.connection, bytes);
    }

    /// Appends all to `out`, those of a connection together; returns how many.
    pub fn encode_all(&mut self, out: &mut Vec<u8>) -> u32 {
        if !self.list.is_sorted_by_key(|reply| reply.connection) {
            self.list.sort_by_key(|reply| reply.connection);
        }
        for reply in &self.list {
            self.encode(*reply, out);
        }
        self.list.len() as u32
    }

    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
    }
}
