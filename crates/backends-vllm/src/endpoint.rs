//! Where a server is: a URL as users write it, turned into host, port and base path.
//!
//! Exists because every habit occurs: with and without `/v1`, with trailing slashes, behind a base path, with
//! credentials. Refuses to open connections. Credentials never reach a text that can be shown.

use ai_energy_core::{Fault, FaultKind};
use http::Uri;
use http::header::HeaderValue;
use std::net::IpAddr;

/// A server's address.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// TLS or not.
    pub(crate) https: bool,
    /// Name or address, without the brackets of IPv6.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// Host and, where the URL names it, port: the `Host` header.
    pub(crate) authority: String,
    /// Path before `/v1`, without a trailing slash; often empty.
    base: String,
    /// Basic credentials of the URL; marked sensitive.
    pub(crate) basic: Option<HeaderValue>,
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// No scheme, another scheme than http or https, no host, a query: each with the remedy.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        let fault = |cause: &str| {
            Fault::new(FaultKind::Usage, format!("endpoint `{}`", without_credentials(text)), cause)
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(fault("has no scheme")
                .remedy(format!("write http://{}", without_credentials(text.trim_start_matches('/')))));
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => {
                return Err(
                    fault(&format!("scheme `{other}` is not supported")).remedy("use http:// or https://")
                );
            }
        };
        if rest.contains(['?', '#']) {
            return Err(fault("holds a query or fragment")
                .remedy("give the base URL only, for example http://host:8000/v1"));
        }
        let advice = "write it like http://host:8000/v1, an IPv6 address in brackets";
        let uri: Uri = text.parse().map_err(|cause| fault(&format!("is no URL ({cause})")).remedy(advice))?;
        let authority = uri.authority().ok_or_else(|| fault("has no host").remedy(advice))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(fault("has no host").remedy(advice));
        }
        let (credentials, shown) = match authority.as_str().rsplit_once('@') {
            Some((credentials, shown)) => (Some(credentials), shown),
            None => (None, authority.as_str()),
        };
        if !port_is_usable(shown) {
            return Err(fault("has no usable port").remedy("give a port from 1 to 65535"));
        }
        Ok(Self {
            https,
            host,
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: shown.to_owned(),
            base: base_path(uri.path()).to_owned(),
            basic: credentials.and_then(basic_credentials),
        })
    }

    /// The path of an API route, for example `/v1/models`.
    pub(crate) fn api(&self, route: &str) -> String {
        format!("{}/v1{route}", self.base)
    }

    /// The path of a route beside the API, for example `/metrics`.
    pub(crate) fn beside(&self, route: &str) -> String {
        format!("{}{route}", self.base)
    }

    /// Whether it is on this machine, as far as its name says.
    pub(crate) fn is_this_machine(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            // RFC 6761, section 6.3.
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// Scheme, host and port, for a request through a proxy.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }

    /// The endpoint as reports show it: normal form, no credentials.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}/v1", self.origin(), self.base)
    }

    /// Host and port for a tunnel or a message.
    pub(crate) fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Whether what follows the host, if anything, is a port.
fn port_is_usable(authority: &str) -> bool {
    match authority.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port.parse::<u16>().is_ok_and(|port| port > 0),
        _ => true,
    }
}

/// What stands before `/v1`. Routes that people paste along with it are cut off too. Only whole path segments are
/// cut, so a host or a segment that ends in `v` or `1` survives.
fn base_path(path: &str) -> &str {
    let mut path = path.trim_end_matches('/');
    for route in ["/chat/completions", "/completions", "/models"] {
        if let Some(before) = path.strip_suffix(route)
            && before.ends_with("/v1")
        {
            path = before;
        }
    }
    path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/')
}

/// A URL, or what was meant as one, without user name and password.
pub(crate) fn without_credentials(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}{}", &rest[at + 1..]),
        None => format!("{scheme}{rest}"),
    }
}

/// `user:password` of a URL as a basic authorization header, marked sensitive.
pub(crate) fn basic_credentials(userinfo: &str) -> Option<HeaderValue> {
    let decoded = percent_decoded(userinfo);
    let decoded = if userinfo.contains(':') { decoded } else { [decoded.as_slice(), b":"].concat() };
    let mut value = HeaderValue::from_str(&format!("Basic {}", base64(&decoded))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            if position <= group.len() {
                out.push(char::from(ALPHABET[(word >> (18 - 6 * position)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Endpoint::parse(text).unwrap().shown()
    }

    #[test]
    fn every_habit_of_writing_an_endpoint_gives_the_same_routes() {
        for text in [
            "http://localhost:8000",
            "http://localhost:8000/",
            "http://localhost:8000/v1",
            " http://localhost:8000/v1/ ",
            "HTTP://localhost:8000/v1//",
            "http://localhost:8000/v1/chat/completions",
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.api("/models"), "/v1/models", "{text}");
            assert_eq!(endpoint.beside("/metrics"), "/metrics", "{text}");
            assert_eq!(endpoint.shown(), "http://localhost:8000/v1", "{text}");
        }
    }

    #[test]
    fn hosts_and_paths_that_end_in_v_or_1_survive() {
        assert_eq!(shown("http://gpu-v1/v1"), "http://gpu-v1/v1");
        assert_eq!(shown("http://dev"), "http://dev/v1");
        assert_eq!(shown("http://10.0.0.1/"), "http://10.0.0.1/v1");
        assert_eq!(shown("https://host/api/v1"), "https://host/api/v1");
        assert_eq!(shown("https://host/v11"), "https://host/v11/v1");
        assert_eq!(Endpoint::parse("https://host/api/v1").unwrap().beside("/tokenize"), "/api/tokenize");
    }

    #[test]
    fn ipv6_and_default_ports() {
        let six = Endpoint::parse("http://[::1]:9/v1").unwrap();
        assert_eq!((six.host.as_str(), six.port, six.authority.as_str()), ("::1", 9, "[::1]:9"));
        assert_eq!(Endpoint::parse("http://[::1]").unwrap().host_and_port(), "[::1]:80");
        assert_eq!(Endpoint::parse("https://h").unwrap().port, 443);
    }

    #[test]
    fn this_machine_has_many_names_and_others_that_only_look_like_it() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.8.9.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(Endpoint::parse(&format!("http://{host}:1")).unwrap().is_this_machine(), "{host}");
        }
        for host in
            ["localhost.example", "notlocalhost", "128.0.0.1", "0.0.0.0", "[::2]", "127.0.0.1.example"]
        {
            assert!(!Endpoint::parse(&format!("http://{host}:1")).unwrap().is_this_machine(), "{host}");
        }
    }

    #[test]
    fn credentials_become_a_sensitive_header_and_are_never_shown() {
        let endpoint = Endpoint::parse("http://Aladdin:open%20sesame@host:1/v1").unwrap();
        // The example of RFC 7617, section 2.
        assert_eq!(endpoint.basic.as_ref().unwrap().as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(endpoint.authority, "host:1");
        let shown = format!("{endpoint:?} {}", endpoint.shown());
        assert!(!shown.contains("sesame") && !shown.contains("QWxh"), "{shown}");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_a_remedy_and_without_the_password() {
        for text in [
            "localhost:8000",
            "ftp://h",
            "http://",
            "http://h:port",
            "http://h:99999",
            "http://h?x=1",
            "",
            "http:///v1",
            "me:hunter2@host:8000",
        ] {
            let fault = Endpoint::parse(text).unwrap_err();
            assert!(!fault.remedy.is_empty(), "{text}: {fault}");
            assert!(!fault.to_string().contains("hunter2"), "{fault}");
        }
        let fault = Endpoint::parse("localhost:8000").unwrap_err();
        assert!(fault.remedy.contains("http://localhost:8000"), "{fault}");
    }
}
