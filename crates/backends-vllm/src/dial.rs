//! Making a connection: TCP, a proxy's tunnel, TLS.
//!
//! All of it happens before a request is sent, so none of it counts as the server's time to first token. Refuses to
//! know requests.

use ai_energy_core::Fault;
use ai_energy_core::record::ErrorClass;
use http::header::HeaderValue;
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::options::ServerOptions;
use crate::proxy;
use crate::socket::{Socket, StampedTcp};
use crate::tls;
use crate::traffic::{Carried, Counts};

/// Knows how to reach one server.
pub(crate) struct Dialer {
    pub(crate) endpoint: Endpoint,
    proxy: Option<Endpoint>,
    tls: Option<TlsConnector>,
    limit: Duration,
    counts: Arc<Counts>,
}

impl Dialer {
    /// Resolves proxy and trust for an endpoint.
    ///
    /// # Errors
    /// The proxy's URL or the authority file cannot be used.
    pub(crate) fn new(endpoint: Endpoint, options: &ServerOptions, limit: Duration) -> Result<Self, Fault> {
        let look = |name: &str| std::env::var(name).ok();
        let proxy = proxy::resolve(options.proxy.as_deref(), &endpoint, &look)?;
        let tls = if endpoint.https { Some(tls::connector(options)?) } else { None };
        Ok(Self { endpoint, proxy, tls, limit, counts: Arc::default() })
    }

    /// The request target for a path: absolute where a proxy is to forward it.
    pub(crate) fn target(&self, path: &str) -> String {
        match &self.proxy {
            Some(_) if !self.endpoint.https => format!("{}{path}", self.endpoint.origin()),
            _ => path.to_owned(),
        }
    }

    /// Credentials for a proxy that forwards requests. A tunnel gets them when it is made.
    pub(crate) fn proxy_authorization(&self) -> Option<&HeaderValue> {
        self.proxy.as_ref().filter(|_| !self.endpoint.https)?.basic.as_ref()
    }

    /// What its connections carry.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, the name is not known, the time limit passes, TLS or the tunnel fails.
    pub(crate) async fn dial(&self) -> Result<Socket, Failure> {
        match tokio::time::timeout(self.limit, self.connect()).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(
                ErrorClass::ConnectTimeout,
                format!(
                    "no connection to {} within {} s (backend.server.connect_timeout_seconds)",
                    self.first_hop().host_and_port(),
                    self.limit.as_secs_f64()
                ),
            )),
        }
    }

    fn first_hop(&self) -> &Endpoint {
        self.proxy.as_ref().unwrap_or(&self.endpoint)
    }

    async fn connect(&self) -> Result<Socket, Failure> {
        let hop = self.first_hop();
        let mut tcp = TcpStream::connect((hop.host.as_str(), hop.port))
            .await
            .map_err(|cause| self.refused(hop, &cause))?;
        let carried = Carried::open(&self.counts);
        tcp.set_nodelay(true).map_err(|cause| Failure::new(ErrorClass::Connect, cause.to_string()))?;
        let Some(tls) = &self.tls else {
            return Ok(Socket::plain(StampedTcp::new(tcp, carried)));
        };
        if let Some(proxy) = &self.proxy {
            self.tunnel(&mut tcp, proxy).await?;
        }
        let failure = |cause: String| {
            let message = format!("TLS with {} failed: {cause}", self.endpoint.host_and_port());
            Failure::new(ErrorClass::Connect, message)
        };
        let name =
            ServerName::try_from(self.endpoint.host.clone()).map_err(|cause| failure(cause.to_string()))?;
        let stream = tls
            .connect(name, StampedTcp::new(tcp, carried))
            .await
            .map_err(|cause| failure(tls_cause(&cause)))?;
        Ok(Socket::tls(stream))
    }

    /// A connection that could not be made, for the server's sake or for this machine's.
    fn refused(&self, hop: &Endpoint, cause: &io::Error) -> Failure {
        match own_limit(cause) {
            Some(remedy) => {
                let place = hop.host_and_port();
                Failure::new(ErrorClass::ClientLimit, format!("no socket to {place} ({cause}): {remedy}"))
            }
            None => Failure::new(ErrorClass::Connect, self.connect_message(hop, cause)),
        }
    }

    fn connect_message(&self, hop: &Endpoint, cause: &io::Error) -> String {
        let who = if self.proxy.is_some() { "the proxy " } else { "" };
        let place = hop.host_and_port();
        match cause.kind() {
            io::ErrorKind::ConnectionRefused => format!("connection refused by {who}{place}"),
            _ if is_lookup(cause) => format!("the host name `{}` cannot be resolved ({cause})", hop.host),
            _ => format!("no connection to {who}{place}: {cause}"),
        }
    }

    /// Asks a proxy for a tunnel (RFC 9110, section 9.3.6).
    async fn tunnel(&self, tcp: &mut TcpStream, proxy: &Endpoint) -> Result<(), Failure> {
        let failure = |cause: String| {
            let message = format!("the proxy {} made no tunnel: {cause}", proxy.host_and_port());
            Failure::new(ErrorClass::Connect, message)
        };
        let target = self.endpoint.host_and_port();
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(basic) = &proxy.basic {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(basic.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        tcp.write_all(&request).await.map_err(|cause| failure(cause.to_string()))?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head belongs to the tunnel. It is a few bytes, once a connection.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > 16 << 10 {
                return Err(failure("its answer is too long".to_owned()));
            }
            head.push(tcp.read_u8().await.map_err(|cause| failure(cause.to_string()))?);
        }
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        match line.split(' ').nth(1) {
            Some(status) if status.starts_with('2') => Ok(()),
            _ => Err(failure(format!("it answered `{line}`"))),
        }
    }
}

/// What to do where this machine, and not the server, refused a socket.
fn own_limit(cause: &io::Error) -> Option<&'static str> {
    let code = Errno::from_io_error(cause)?;
    if code == Errno::MFILE || code == Errno::NFILE {
        Some(
            "raise the limit of open files with `ulimit -n`, or keep fewer requests in flight (load.concurrency, load.max_in_flight)",
        )
    } else if code == Errno::ADDRNOTAVAIL {
        Some(
            "no local port is free for that address: widen net.ipv4.ip_local_port_range, or keep fewer requests in flight",
        )
    } else if code == Errno::NOBUFS || code == Errno::NOMEM {
        Some("the system has no memory for sockets: keep fewer requests in flight")
    } else {
        None
    }
}

/// A failed name lookup has no kind of its own in the standard library.
fn is_lookup(cause: &io::Error) -> bool {
    cause.to_string().contains("lookup address")
}

fn tls_cause(cause: &io::Error) -> String {
    let text = cause.to_string();
    if text.contains("UnknownIssuer") {
        format!("{text}; name its authority in backend.server.tls_ca_file")
    } else if text.contains("InvalidContentType") || text.contains("corrupt message") {
        format!("{text}; does the server speak plain http?")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_sockets_is_told_from_a_server_that_refuses() {
        for (code, own) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::CONNREFUSED, false),
            (Errno::HOSTUNREACH, false),
        ] {
            assert_eq!(own_limit(&io::Error::from(code)).is_some(), own, "{code:?}");
        }
        assert!(own_limit(&io::Error::other("lookup address failed")).is_none());
    }
}
