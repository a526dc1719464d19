//! A small HTTP/1.1 server that keeps what it gets and answers as the test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use uuid::Uuid;

use crate::events::Event;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method and target.
    pub line: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The server's connections are counted from 1.
    pub connection: usize,
    /// What was answered.
    pub status: u16,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn events(&self) -> Vec<Event> {
        match self.header("content-type") {
            Some("application/cloudevents+json") => {
                vec![serde_json::from_slice(&self.body).expect("an event")]
            }
            Some("application/cloudevents-batch+json") => {
                serde_json::from_slice(&self.body).expect("several events")
            }
            other => panic!("content-type {other:?}"),
        }
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.events().iter().map(|event| event.id).collect()
    }
}

/// What to answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Close the connection in place of an answer.
    pub hang_up: bool,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Script = Box<dyn FnMut(&Request) -> Reply + Send>;

#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    script: Arc<Mutex<Script>>,
}

impl Server {
    /// Takes everything until told otherwise.
    pub fn start() -> Self {
        Self::with(None)
    }

    pub fn with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let script: Script = Box::new(|_| Reply::status(204));
        let server = Self { address, requests: Arc::default(), script: Arc::new(Mutex::new(script)) };
        let serving = server.clone();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (serving, tls) = (serving.clone(), tls.clone());
                std::thread::spawn(move || serving.serve(stream, tls, number + 1));
            }
        });
        server
    }

    pub fn answers(&self, script: impl FnMut(&Request) -> Reply + Send + 'static) {
        *self.script.lock().expect("lock") = Box::new(script);
    }

    /// All requests, also those that were refused.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("lock").clone()
    }

    /// Ids of the events that were taken, as they came.
    pub fn taken(&self) -> Vec<Uuid> {
        let requests = self.requests();
        requests.iter().filter(|r| (200..300).contains(&r.status)).flat_map(Request::ids).collect()
    }

    fn serve(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>, connection: usize) {
        // An error is the other side's way to end it.
        let _ = match tls {
            None => self.answer_all(stream, connection),
            Some(config) => {
                let session = ServerConnection::new(config).expect("a good configuration");
                self.answer_all(StreamOwned::new(session, stream), connection)
            }
        };
    }

    fn answer_all(&self, stream: impl Read + Write, connection: usize) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(mut request) = read(&mut stream, connection)? {
            let reply = (self.script.lock().expect("lock"))(&request);
            request.status = reply.status;
            self.requests.lock().expect("lock").push(request);
            if reply.hang_up {
                break;
            }
            let mut head = format!("HTTP/1.1 {} Said\r\n", reply.status);
            reply.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
            if reply.status != 204 {
                head += &format!("Content-Length: {}\r\n", reply.body.len());
            }
            let answer = [head.as_bytes(), b"\r\n", &reply.body].concat();
            stream.get_mut().write_all(&answer)?;
            stream.get_mut().flush()?;
        }
        Ok(())
    }
}

/// The next request; `None` at the end. One that is cut off is an error, and never counts.
fn read(stream: &mut impl BufRead, connection: usize) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut text = String::new();
        if stream.read_line(&mut text)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match text.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request =
        Request { line: line.trim_end().to_owned(), headers, body: Vec::new(), connection, status: 0 };
    let length = request.header("content-length").expect("a length").parse().expect("a number");
    request.body = vec![0; length];
    stream.read_exact(&mut request.body)?;
    Ok(Some(request))
}
