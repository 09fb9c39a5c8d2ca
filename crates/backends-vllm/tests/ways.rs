//! Ways to a server other than plain TCP: proxies and TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use ai_energy_backends_vllm::{Options, ServerOptions, VllmBackend};
use ai_energy_core::backend::Backend;
use ai_energy_core::record::ErrorClass;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use support::{Next, Server, generate, keeping_text, read_request, stream_of};

fn streaming() -> Server {
    Server::start(|_, stream| {
        stream.write_all(stream_of(&["a", "b"]).as_bytes()).unwrap();
        Next::KeepAlive
    })
}

#[tokio::test]
async fn a_proxy_gets_absolute_targets_and_is_used_only_when_named() {
    let proxy = streaming();
    let options = |proxy: Option<String>| Options {
        endpoint: "http://no-such-host.invalid:81/api/v1".to_owned(),
        model: "m".to_owned(),
        server: ServerOptions { proxy, ..keeping_text() },
    };
    let through = VllmBackend::new(options(Some(format!("http://u:p@{}", proxy.address)))).unwrap();
    assert_eq!(generate(&through).await.error, None);
    let seen = &proxy.seen()[0];
    assert_eq!(seen.line, "POST http://no-such-host.invalid:81/api/v1/chat/completions HTTP/1.1");
    assert_eq!(seen.header("host"), Some("no-such-host.invalid:81"));
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dTpw"));
    let direct = VllmBackend::new(options(None)).unwrap();
    assert_eq!(generate(&direct).await.error.unwrap().class, ErrorClass::Connect);
}

/// A TLS server with a certificate of its own authority, which answers every connection with one stream.
fn tls_server(name: &str) -> (u16, String) {
    let key = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let pem = key.cert.pem();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((tcp, _)) = listener.accept() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, tcp);
            if read_request(&mut stream, 0).is_some() {
                let _ = stream.write_all(stream_of(&["secret"]).as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    (port, pem)
}

fn tls_options(port: u16, server: ServerOptions) -> Options {
    Options { endpoint: format!("https://localhost:{port}"), model: "m".to_owned(), server }
}

#[tokio::test]
async fn tls_trusts_a_named_authority_and_nobody_unknown() {
    let (port, pem) = tls_server("localhost");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let trusting = ServerOptions { tls_ca_file: Some(file), ..keeping_text() };
    let generation = generate(&VllmBackend::new(tls_options(port, trusting.clone())).unwrap()).await;
    assert_eq!((generation.error.as_ref(), generation.text.as_deref()), (None, Some("secret")));
    assert!(generation.first_byte >= generation.sent);

    // The same certificate does not speak for another name.
    let other = Options { endpoint: format!("https://127.0.0.1:{port}"), ..tls_options(port, trusting) };
    assert_eq!(generate(&VllmBackend::new(other).unwrap()).await.error.unwrap().class, ErrorClass::Connect);

    let careless = ServerOptions { tls_insecure: true, ..keeping_text() };
    assert_eq!(generate(&VllmBackend::new(tls_options(port, careless)).unwrap()).await.error, None);
}

#[tokio::test]
async fn authority_files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for file in [empty, folder.path().join("missing.pem")] {
        let options = ServerOptions { tls_ca_file: Some(file.clone()), ..keeping_text() };
        let fault = VllmBackend::new(tls_options(1, options)).unwrap_err();
        assert!(fault.object.contains(&file.display().to_string()), "{fault}");
        assert!(!fault.remedy.is_empty(), "{fault}");
    }
}

#[tokio::test]
async fn https_goes_through_a_proxy_in_a_tunnel() {
    let (port, _) = tls_server("localhost");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let asked = read_request(&mut client, 0).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut to, mut from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
        asked
    });
    let options =
        ServerOptions { proxy: Some(format!("http://{proxy}")), tls_insecure: true, ..keeping_text() };
    let backend = VllmBackend::new(tls_options(port, options)).unwrap();
    let generation = generate(&backend).await;
    assert_eq!((generation.error.as_ref(), generation.text.as_deref()), (None, Some("secret")));
    backend.close().await;
    assert_eq!(asked.join().unwrap().line, format!("CONNECT localhost:{port} HTTP/1.1"));
}
