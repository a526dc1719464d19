//! A proxy on the way to the receiver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;

use super::*;
use crate::base::secret::Secret;
use crate::sinks::testing::deliveries;

/// A proxy that understands CONNECT and asks for `user:pass word`; what it was asked.
fn tunnel(target: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let heard = heard.clone();
            std::thread::spawn(move || connect(stream, target, &heard));
        }
    });
    (address, asked)
}

fn connect(stream: TcpStream, target: SocketAddr, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    heard.lock().expect("lock").push(head[0].clone());
    // "user:pass word" in base64.
    let known = head.iter().any(|line| line == "Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=");
    if !known {
        return (&stream).write_all(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n");
    }
    let server = TcpStream::connect(target)?;
    (&stream).write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let back = (server.try_clone()?, stream.try_clone()?);
    std::thread::spawn(move || copy(back.0, back.1));
    copy(stream, server);
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn events_go_through_the_proxy_and_the_proxy_finds_the_host() {
    let authority = super::tls::Authority::new();
    for tls in [false, true] {
        let server = Server::with(tls.then(|| authority.server("receiver.example", None)));
        let (proxy, asked) = tunnel(server.address);
        let scheme = if tls { "https" } else { "http" };
        let mut config = config(scheme, proxy);
        authority.trusted_by(&mut config);
        // A name that only the proxy can know.
        config.url = Url::parse(&format!("{scheme}://receiver.example/events")).expect("valid");
        config.proxy = Some(Url::parse(&format!("http://{proxy}")).expect("valid"));
        let batch = deliveries(1..=3);
        let (message, _) = later(send(&mut open(&config), &batch));
        assert!(message.contains("proxy") && message.contains("407"), "{message}");
        config.proxy_user = Some("user".into());
        config.proxy_password = Some(Secret::new("pass word"));
        assert!(all(&send(&mut open(&config), &batch), &batch));
        assert_eq!(server.taken().len(), 3);
        let port = if tls { 443 } else { 80 };
        let line = format!("CONNECT receiver.example:{port} HTTP/1.1");
        assert_eq!(*asked.lock().expect("lock"), [line.clone(), line]);
        config.proxy_password = Some(Secret::new("proxy-secret"));
        let (message, _) = later(send(&mut open(&config), &batch));
        assert!(!message.contains("proxy-secret"), "{message}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut config = config("http", listener.local_addr().expect("bound"));
    let proxy = listener.local_addr().expect("bound");
    config.url = Url::parse("http://receiver.example/events").expect("valid");
    config.proxy = Some(Url::parse(&format!("http://{proxy}")).expect("valid"));
    drop(listener);
    let (message, _) = later(send(&mut open(&config), &deliveries(1..=1)));
    assert!(message.contains("http://receiver.example"), "{message}");
}
