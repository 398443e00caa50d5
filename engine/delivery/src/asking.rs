//! Runs the hooks that may ask other machines: between the runs of a script what it wants is asked,
//! and no thread waits for the answer.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Semaphore;

use maily_egress::post::Poster;
use maily_egress::post::Question;
use maily_egress::post::Target;
use maily_plugins::call::Call;
use maily_plugins::call::Merge;
use maily_plugins::call::Outcome;
use maily_plugins::call::Outgoing;
use maily_plugins::call::Step;
use maily_plugins::http::HttpResponse;
use maily_plugins::input::Input;
use maily_plugins::set::Plugins;

/// Scripts of such hooks that run at once; others wait.
const RUNNING_MAX: usize = 4;
/// Until a call is run again that waits for what another finds out.
const AGAIN_IN: Duration = Duration::from_millis(5);

/// Runs hooks step by step; clones share it.
#[derive(Clone)]
pub struct Asker {
    /// Who is asked.
    pub plugins: Arc<Plugins>,
    poster: Arc<ArcSwap<Poster>>,
    running: Arc<Semaphore>,
}

impl Asker {
    /// Asks other machines by this.
    pub fn new(plugins: Arc<Plugins>, poster: Poster) -> Self {
        let poster = Arc::new(ArcSwap::from_pointee(poster));
        Self { plugins, poster, running: Arc::new(Semaphore::new(RUNNING_MAX)) }
    }

    /// Asks other machines by this from now on.
    pub fn ask_by(&self, poster: Poster) {
        self.poster.store(Arc::new(poster));
    }

    /// Runs a call to its end; none if a script took the thread with it.
    pub async fn run<I, O>(&self, mut call: Call<I, O>) -> Option<Outcome<O>>
    where
        I: Input + Send + 'static,
        O: Merge + Clone + Send + 'static,
    {
        loop {
            let seat = Arc::clone(&self.running).acquire_owned().await.ok()?;
            let plugins = Arc::clone(&self.plugins);
            let ran = tokio::task::spawn_blocking(move || {
                let step = call.run(&plugins);
                drop(seat);
                (call, step)
            });
            let step;
            (call, step) = ran.await.ok()?;
            match step {
                Step::Done(outcome) => return Some(outcome),
                Step::Wants(outgoing) => call.answer(self.ask(outgoing).await),
                Step::Waits => tokio::time::sleep(AGAIN_IN).await,
            }
        }
    }

    async fn ask(&self, outgoing: Outgoing) -> HttpResponse {
        let Ok(target) = Target::parse(&outgoing.url) else { return HttpResponse::default() };
        let fields = outgoing.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<_> = fields.collect();
        let question = Question {
            method: &outgoing.method,
            fields: &fields,
            body: Bytes::from(outgoing.body.clone()),
            answer_octets_max: usize::try_from(outgoing.max_body).unwrap_or(usize::MAX),
        };
        let poster = self.poster.load_full();
        match poster.ask(&target, question, outgoing.timeout).await {
            Ok((status, body)) => {
                HttpResponse { status, body: String::from_utf8_lossy(&body).into_owned() }
            }
            Err(error) => {
                let (plugin, host) = (&outgoing.plugin, &outgoing.host);
                tracing::warn!(plugin, host, %error, "a plugin got no answer");
                HttpResponse::default()
            }
        }
    }
}
