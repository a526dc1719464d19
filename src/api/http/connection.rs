//! Connections that end by themselves, and what a request may change about its own.
//!
//! ```text
//!   accept ─▶ a place of 32 ─▶ 10 s and 64 KiB in, then hung up on
//!                  │ a reader's token
//!                  ▼
//!              Lease: a place of that reader's instead ─┬─ a poll:   as long as it may wait, and 10 s for the answer
//!                                                       └─ a stream: as long as it takes something now and then
//! ```

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::stats::PullStats;

/// What a client may send in all between two requests that were let in: requests' heads, and no body worth the name.
const MAX_BYTES: usize = 64 << 10;

/// Accepts a connection once there is a place for it.
pub(super) struct Bounded {
    pub tcp: TcpListener,
    pub places: Arc<Semaphore>,
    pub lifetime: Duration,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Never closed, so this never fails; without a place we would only wait on.
        let place = self.places.clone().acquire_owned().await.ok();
        let (tcp, peer) = Listener::accept(&mut self.tcp).await;
        let end = Instant::now() + self.lifetime;
        let terms = Terms { end, bytes: MAX_BYTES, stream: None, place };
        let lease = Lease { terms: Arc::new(Mutex::new(terms)), lifetime: self.lifetime };
        (Connection { tcp, end: Box::pin(tokio::time::sleep_until(end)), lease }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A connection that ends by itself.
pub(super) struct Connection {
    tcp: TcpStream,
    end: Pin<Box<Sleep>>,
    lease: Lease,
}

/// How long a connection may last, as a request on it sees and changes that.
#[derive(Clone)]
pub(super) struct Lease {
    terms: Arc<Mutex<Terms>>,
    lifetime: Duration,
}

struct Terms {
    end: Instant,
    /// What the client may still send.
    bytes: usize,
    /// Of a stream: it may last as long as something is taken within this time, and whose figures tell that nothing was.
    stream: Option<(Duration, Arc<PullStats>)>,
    place: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// The connection has this place from now on, and not that of somebody unknown. It may last for `wait`, and send as much again.
    pub fn take_place(&self, place: OwnedSemaphorePermit, wait: Duration) {
        let mut terms = self.terms();
        (terms.place, terms.bytes, terms.stream) = (Some(place), MAX_BYTES, None);
        terms.end = Instant::now() + wait + self.lifetime;
    }

    /// The place that it has, if it is one of these.
    pub fn place_of(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut terms = self.terms();
        match &terms.place {
            Some(place) if Arc::ptr_eq(place.semaphore(), places) => terms.place.take(),
            _ => None,
        }
    }

    /// The answer is there: it has to be taken, and the next request made, in the usual time.
    pub fn answered(&self) {
        self.terms().end = Instant::now() + self.lifetime;
    }

    /// A stream begins.
    pub fn stream(&self, stall: Duration, stats: Arc<PullStats>) {
        let mut terms = self.terms();
        (terms.end, terms.stream) = (Instant::now() + stall, Some((stall, stats)));
    }

    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Lease {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        stream.io().lease.clone()
    }
}

impl Connection {
    /// An error once the connection's time is over; and makes sure that we are woken then.
    fn in_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut terms = self.lease.terms();
        if self.end.deadline() != terms.end {
            self.end.as_mut().reset(terms.end);
        }
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => {
                if let Some((_, stats)) = terms.stream.take() {
                    stats.stalled.add(1);
                }
                Err(io::ErrorKind::TimedOut.into())
            }
            Poll::Pending => Ok(()),
        }
    }

    /// Something was taken: a stream may go on.
    fn taken(&self) {
        let mut terms = self.lease.terms();
        if let Some((stall, _)) = terms.stream {
            terms.end = Instant::now() + stall;
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        let before = to.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, to);
        let new = to.filled().len().saturating_sub(before);
        let mut terms = self.lease.terms();
        match terms.bytes.checked_sub(new) {
            Some(left) => terms.bytes = left,
            None => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.in_time(cx)?;
        let polled = Pin::new(&mut self.tcp).poll_write(cx, from);
        if matches!(polled, Poll::Ready(Ok(n)) if n > 0) {
            self.taken();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
