//! Takes what collectors send, in order, to the one writer: decode, apply,
//! commit, publish, answer. Refuses to know sockets and what records mean.

pub mod decode;
mod recall;
pub mod writer;

pub use decode::Limits;
pub use recall::Recall;
pub use writer::{Handle, Observer, Statement, Writer};
