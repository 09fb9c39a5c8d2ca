//! The protocol's loop: reads the host's lines on one thread, computes on another, writes on a third.
//!
//! The clock is asked for and answered while a model computes, and a token's event never holds the next step up. Refuses
//! to know libtorch: what computes stands behind the seam of [`Loader`], [`Compute`] and [`Rows`].

mod batch;
mod channel;
#[cfg(feature = "torch")]
mod check;
mod clock;
mod guard;
#[cfg(feature = "torch")]
mod native;
mod outbox;
mod reader;
mod row;
mod seam;
mod stats;
mod worker;

use std::io::{BufRead, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::Duration;

use ai_energy_backends_pytorch::protocol::{FromEngine, VERSION};

use self::clock::EngineClock;
use self::outbox::Outbox;
use self::reader::End;
use self::worker::Worker;

#[cfg(feature = "torch")]
pub use self::check::check;
#[cfg(feature = "torch")]
pub use self::native::Native;
pub use self::seam::{Compute, LoadRequest, LoadedModel, Loader, Progress, Rows};

/// How long a step under way may take to end once the host is gone.
const GRACE: Duration = Duration::from_secs(2);

/// Stack of the computing thread: libtorch's and the tokenizers' recursion is made for a main thread's.
const STACK_BYTES: usize = 8 << 20;

/// Speaks the protocol until the host wants an end or its lines end. A computation that is still under way some seconds
/// after the host is gone is left behind: end the process after this.
///
/// # Errors
/// The system gives no threads, or the input cannot be read.
pub fn serve(
    input: impl BufRead,
    output: impl Write + Send + 'static,
    loader: impl Loader + 'static,
) -> std::io::Result<()> {
    let clock = EngineClock::start();
    let (outbox, writer) = Outbox::start(output)?;
    outbox.say(FromEngine::Hello { version: VERSION, program: loader.program(), synthetic: false });
    let (commands, inbox) = channel();
    let (ended, end) = channel::<()>();
    let outward = outbox.clone();
    Builder::new().name("compute".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        Worker::new(loader, inbox, outward, clock).run();
        drop(ended);
    })?;
    let said = reader::read(input, &clock, &outbox, &commands);
    drop(commands);
    drop(outbox);
    let gone = match said {
        // The host waits for the answer as long as it likes.
        Ok(End::Unload) => end.recv().is_err(),
        _ => end.recv_timeout(GRACE) == Err(RecvTimeoutError::Disconnected),
    };
    if gone {
        // The last sender went with the worker, so the writer ends once everything is written.
        let _ = writer.join();
    }
    said.map(|_| ())
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
