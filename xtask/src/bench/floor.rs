//! The floor: what any client must pay for a stream. One thread, one epoll, each read stamped, and its bytes thrown away.
//!
//! Run as a process of its own (`xtask bench floor ADDRESS STREAMS TOKENS`), so that its CPU time is its alone. Refuses to
//! look at what comes, but for the end of a body.

use anyhow::{Context, Result, bail};
use rustix::event::epoll;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::say;

/// The end of a body in chunks.
const END: &[u8] = b"0\r\n\r\n";

/// Reads as many streams as asked for, and prints the CPU seconds of it, connecting included as in every reader's, and the seconds
/// from the first request to the last byte.
pub(super) fn run(arguments: &[String]) -> Result<()> {
    let [address, streams, tokens] = arguments else { bail!("floor takes ADDRESS STREAMS TOKENS") };
    let (streams, tokens): (u64, u64) = (streams.parse()?, tokens.parse()?);
    let body = format!(
        r#"{{"model":"simulated","messages":[{{"role":"user","content":"x"}}],"stream":true,"max_tokens":{tokens}}}"#
    );
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let before = cpu_seconds();
    let mut sockets = Vec::new();
    for number in 0..streams {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        epoll::add(&poll, &socket, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        sockets.push(socket);
    }
    let begin = Instant::now();
    for socket in &mut sockets {
        socket.write_all(request.as_bytes())?;
    }
    read_all(&poll, &mut sockets)?;
    say(&format!("cpu {:.6} load {:.6}", cpu_seconds() - before, begin.elapsed().as_secs_f64()));
    Ok(())
}

fn read_all(poll: &impl std::os::fd::AsFd, sockets: &mut [TcpStream]) -> Result<()> {
    let (mut left, mut bytes) = (sockets.len(), vec![0; 64 << 10]);
    let mut stamps = vec![Instant::now(); sockets.len()];
    let mut events = Vec::with_capacity(1024);
    while left > 0 {
        events.clear();
        epoll::wait(poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let number = usize::try_from(event.data.u64())?;
            let count = sockets.get_mut(number).context("an unknown socket")?.read(&mut bytes)?;
            stamps[number] = Instant::now();
            if count == 0 {
                bail!("a stream ended before its body did");
            }
            left -= usize::from(bytes[..count].ends_with(END));
        }
    }
    std::hint::black_box(stamps);
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
