//! Who receives: real servers on this machine, each with its files in the bench's folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use url::Url;
use watchlistd::config::{Sink, SinkKind};
use watchlistd::sinks::mqtt::MqttConfig;
use watchlistd::sinks::nats::NatsConfig;
use watchlistd::sinks::webhook::WebhookConfig;

/// The servers; they end with it.
pub struct Peers {
    http: SocketAddr,
    mqtt: Option<(Server, u16)>,
    nats: Option<(Server, u16)>,
    #[cfg(feature = "kafka")]
    kafka: kafka::Cluster,
}

/// A child that ends with us.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peers {
    pub fn start(folder: &Path) -> Self {
        Self {
            http: http(),
            mqtt: mqtt(folder),
            nats: nats(folder),
            #[cfg(feature = "kafka")]
            kafka: kafka::cluster(),
        }
    }

    /// A sink for each, and a file.
    pub fn sinks(&self, folder: &Path) -> Vec<Sink> {
        let file = |sync: &str| {
            let mut file = config_file(&folder.join(format!("{sync}.jsonl")));
            file.sync = match sync {
                "each" => watchlistd::config::FileSync::Each,
                _ => watchlistd::config::FileSync::Second,
            };
            Sink::new(format!("file-{sync}"), SinkKind::Jsonl(file))
        };
        let url = |scheme: &str, port: u16| {
            Url::parse(&format!("{scheme}://127.0.0.1:{port}/")).expect("an address")
        };
        let mut sinks = vec![file("each"), file("second")];
        sinks.push(Sink::new(
            "webhook",
            SinkKind::Webhook(Box::new(WebhookConfig::new(url("http", self.http.port())))),
        ));
        if let Some((_, port)) = &self.mqtt {
            let config = MqttConfig::new(url("mqtt", *port), "bench", "bench");
            sinks.push(Sink::new("mqtt", SinkKind::Mqtt(Box::new(config))));
        }
        if let Some((_, port)) = &self.nats {
            let mut config = NatsConfig::new(vec![url("nats", *port)], "BENCH", "bench");
            config.stream.create = true;
            sinks.push(Sink::new("nats", SinkKind::Nats(Box::new(config))));
        }
        #[cfg(feature = "kafka")]
        sinks.push(kafka::sink(&self.kafka));
        sinks
    }
}

/// librdkafka's own mock of a cluster, in this process.
#[cfg(feature = "kafka")]
mod kafka {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use watchlistd::config::{Sink, SinkKind};
    use watchlistd::sinks::kafka::KafkaConfig;

    pub type Cluster = MockCluster<'static, DefaultProducerContext>;

    pub fn cluster() -> Cluster {
        MockCluster::new(1).expect("a mock cluster")
    }

    pub fn sink(cluster: &Cluster) -> Sink {
        let config = KafkaConfig::new(vec![cluster.bootstrap_servers()], "bench", "bench");
        cluster.create_topic(&config.topic, 1, 1).expect("a topic");
        Sink::new("kafka", SinkKind::Kafka(Box::new(config)))
    }
}

fn config_file(path: &Path) -> watchlistd::config::EventFile {
    watchlistd::config::EventFile::new(path)
}

/// A receiver that takes everything, one connection after the other.
fn http() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(serve(stream))));
    address
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}

fn mqtt(folder: &Path) -> Option<(Server, u16)> {
    let port = free_port();
    let settings = folder.join("mosquitto.conf");
    std::fs::write(&settings, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).expect("written");
    server(&["mosquitto", "/usr/sbin/mosquitto"], &["-c", settings.to_str()?], port)
}

fn nats(folder: &Path) -> Option<(Server, u16)> {
    let (port, store) = (free_port(), folder.join("nats"));
    let number = port.to_string();
    let arguments = ["-a", "127.0.0.1", "-p", &number, "-js", "-sd", store.to_str()?];
    server(&["nats-server", "/usr/sbin/nats-server"], &arguments, port)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Starts it, and waits until it takes connections. `None`: it is not installed.
fn server(names: &[&str], arguments: &[&str], port: u16) -> Option<(Server, u16)> {
    let start = |name: &&str| {
        Command::new(name).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    };
    let Some(child) = names.iter().find_map(start) else {
        println!("{} is not installed: left out", names.first()?);
        return None;
    };
    let server = Server(child);
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "{names:?} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some((server, port))
}
