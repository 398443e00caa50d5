//! A socket, in clear or under TLS.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Pieces written by one call: commands, head, message and its end.
const SLICES_MAX: usize = 4;
/// Room for what a peer says at once.
const READ_OCTETS: usize = 2_048;

/// A socket, in clear or under TLS.
pub(crate) enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What came first.
pub(crate) enum Step {
    /// So many octets were written.
    Wrote(usize),
    /// All that was written is on its way.
    Flushed,
    /// The peer said something; 0 octets: it has closed its side.
    Heard(usize),
}

impl Stream {
    /// Reads what there is, else writes, so that no peer that waits for us to read can make us wait
    /// for it (RFC 2920 3.1). What is read was said before the rest is on the wire.
    pub(crate) async fn step(&mut self, input: &mut BytesMut, out: &[Bytes]) -> io::Result<Step> {
        input.reserve(READ_OCTETS);
        std::future::poll_fn(|cx| self.poll_step(cx, input, out)).await
    }

    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut BytesMut,
        out: &[Bytes],
    ) -> Poll<io::Result<Step>> {
        if out.is_empty()
            && let Poll::Ready(flushed) = Pin::new(&mut *self).poll_flush(cx)
        {
            return Poll::Ready(flushed.map(|()| Step::Flushed));
        }
        if let Poll::Ready(read) = pin!(self.read_buf(input)).poll(cx) {
            return Poll::Ready(read.map(Step::Heard));
        }
        if out.is_empty() {
            return Poll::Pending;
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        for (slice, piece) in slices.iter_mut().zip(out) {
            *slice = IoSlice::new(piece);
        }
        let slices = slices.get(..out.len().min(SLICES_MAX)).unwrap_or_default();
        match Pin::new(self).poll_write_vectored(cx, slices) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            other => other.map_ok(Step::Wrote),
        }
    }

    /// Reads what comes next.
    pub(crate) async fn hear(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        input.reserve(READ_OCTETS);
        self.read_buf(input).await
    }
}

/// Takes so many octets off the front of the pieces.
pub(crate) fn advance(pieces: &mut Vec<Bytes>, mut octets: usize) {
    let mut whole = 0;
    for piece in pieces.iter_mut() {
        if piece.len() > octets {
            piece.advance(octets);
            break;
        }
        octets -= piece.len();
        whole += 1;
    }
    pieces.drain(..whole);
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_taken_off_across_pieces() {
        let pieces = || vec![Bytes::from_static(b"ab"), Bytes::from_static(b"cde")];
        for (octets, left) in [(0, "abcde"), (1, "bcde"), (2, "cde"), (4, "e"), (5, "")] {
            let mut pieces = pieces();
            advance(&mut pieces, octets);
            assert_eq!(pieces.concat(), left.as_bytes());
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
        }
    }
}
