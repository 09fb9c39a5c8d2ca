//! Which proxy a server is reached through, if any.
//!
//! A proxy is used only where the user asks for one, since its time would be measured as the server's. Refuses to
//! open connections.

use ai_energy_core::{Fault, FaultKind};

use crate::endpoint::Endpoint;

/// Looks up an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The proxy for `target`, from the option `backend.server.proxy`.
///
/// # Errors
/// The proxy's URL cannot be used.
pub(crate) fn resolve(
    option: Option<&str>,
    target: &Endpoint,
    environment: Environment<'_>,
) -> Result<Option<Endpoint>, Fault> {
    let (url, named) = match option.map(str::trim) {
        None | Some("") => return Ok(None),
        Some("env") => match from_environment(target, environment) {
            Some(found) => found,
            None => return Ok(None),
        },
        Some(url) => (url.to_owned(), "backend.server.proxy".to_owned()),
    };
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    let proxy = Endpoint::parse(&url)
        .map_err(|fault| Fault { object: format!("{named}, {}", fault.object), ..fault })?;
    if proxy.https {
        return Err(Fault::new(
            FaultKind::Usage,
            named,
            "a proxy that is itself reached by TLS is not supported",
        )
        .remedy("give a proxy with http://; requests to https servers are tunnelled through it"));
    }
    Ok(Some(proxy))
}

/// The proxy that the environment names for `target`, and the variable's name.
fn from_environment(target: &Endpoint, environment: Environment<'_>) -> Option<(String, String)> {
    let look = |name: &str| {
        let lower = name.to_ascii_lowercase();
        [lower.as_str(), name].into_iter().find_map(|name| {
            let value = environment(name).filter(|value| !value.trim().is_empty())?;
            Some((value.trim().to_owned(), name.to_owned()))
        })
    };
    if look("NO_PROXY").is_some_and(|(list, _)| excepted(&list, target)) {
        return None;
    }
    look(if target.https { "HTTPS_PROXY" } else { "HTTP_PROXY" }).or_else(|| look("ALL_PROXY"))
}

/// Whether a NO_PROXY list holds the target: `*`, a name, a name and its subdomains, each perhaps with a port.
fn excepted(list: &str, target: &Endpoint) -> bool {
    let host = target.host.to_ascii_lowercase();
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                (name, port.parse::<u16>().ok())
            }
            _ => (entry.as_str(), None),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.').trim_matches(['[', ']']);
        let same =
            name == "*" || host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        same && port.is_none_or(|port| port == target.port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(option: Option<&str>, target: &str, variables: &[(&str, &str)]) -> Option<String> {
        let target = Endpoint::parse(target).unwrap();
        let look =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        resolve(option, &target, &look).unwrap().map(|proxy| proxy.authority)
    }

    #[test]
    fn the_environment_counts_only_when_asked_for() {
        let variables = [
            ("HTTP_PROXY", "http://p:1"),
            ("https_proxy", "q:2"),
            ("NO_PROXY", "inner.org, .local,10.0.0.1:80"),
        ];
        assert_eq!(found(None, "http://h", &variables), None);
        assert_eq!(found(Some("http://x:9"), "http://h", &variables).as_deref(), Some("x:9"));
        assert_eq!(found(Some("env"), "http://h", &variables).as_deref(), Some("p:1"));
        assert_eq!(found(Some("env"), "https://h", &variables).as_deref(), Some("q:2"));
        for excepted in ["http://inner.org", "http://a.inner.org", "http://b.local", "http://10.0.0.1"] {
            assert_eq!(found(Some("env"), excepted, &variables), None, "{excepted}");
        }
        for reached in ["http://notinner.org", "http://10.0.0.1:81"] {
            assert!(found(Some("env"), reached, &variables).is_some(), "{reached}");
        }
        assert_eq!(found(Some("env"), "http://h", &[]), None);
        assert_eq!(found(Some("env"), "http://h", &[("HTTP_PROXY", "p"), ("NO_PROXY", "*")]), None);
    }

    #[test]
    fn a_proxy_behind_tls_is_refused_without_its_password() {
        let target = Endpoint::parse("http://h").unwrap();
        let fault = resolve(Some("https://me:hunter2@p"), &target, &|_| None).unwrap_err();
        assert!(!fault.to_string().contains("hunter2") && !fault.remedy.is_empty(), "{fault}");
    }
}
