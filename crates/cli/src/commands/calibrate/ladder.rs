//! What is tried: three ladders, each raising one thing until the client no longer keeps within its bounds.
//!
//! Refuses to know how a level is run and judged.

/// What a ladder raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ladder {
    /// Streams at a time, each at a token every 10 ms.
    Streams,
    /// Tokens a second over a fixed number of streams.
    Tokens,
    /// Requests a second, of one token each, at planned instants.
    Requests,
}

impl Ladder {
    pub(super) const ALL: [Self; 3] = [Self::Streams, Self::Tokens, Self::Requests];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
        }
    }
}

/// A level to try: requests at equally spaced instants.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    pub(super) ladder: Ladder,
    /// Requests a second.
    pub(super) rate: f64,
    /// How many requests.
    pub(super) requests: usize,
    /// Tokens of each.
    pub(super) tokens: u32,
    /// Time between tokens, µs.
    pub(super) inter_token_us: u64,
}

/// Time between tokens of the first ladder.
const STREAM_INTER_TOKEN_US: u64 = 10_000;

/// Streams of the second ladder.
const TOKEN_STREAMS: usize = 64;

/// Delay of a first token.
const TTFT: &str = "5ms";

/// How long streams begin, over how long each lasts: as those of independent users they do not begin at one instant.
const RAMP: f64 = 0.5;

impl Trial {
    /// The rungs of a ladder, lowest first, each about so many seconds long.
    pub(super) fn rungs(ladder: Ladder, quick: bool) -> Vec<Self> {
        let seconds = if quick { 0.4 } else { 1.2 };
        match ladder {
            Ladder::Streams => {
                let streams: &[usize] =
                    if quick { &[8, 64, 256] } else { &[16, 64, 128, 256, 512, 1000, 2000, 4000] };
                let rung = |streams: &usize| Self::streams(ladder, *streams, STREAM_INTER_TOKEN_US, seconds);
                streams.iter().map(rung).collect()
            }
            Ladder::Tokens => {
                let pauses: &[u64] = if quick { &[8000, 2000] } else { &[8000, 4000, 2000, 1000, 500, 250] };
                pauses.iter().map(|pause| Self::streams(ladder, TOKEN_STREAMS, *pause, seconds)).collect()
            }
            Ladder::Requests => {
                let rates: &[f64] = if quick {
                    &[100.0, 400.0]
                } else {
                    &[100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0]
                };
                let rung = |rate: &f64| Self {
                    ladder,
                    rate: *rate,
                    requests: (rate * seconds).ceil() as usize,
                    tokens: 1,
                    inter_token_us: 0,
                };
                rates.iter().map(rung).collect()
            }
        }
    }

    /// Streams that begin one after another and are all open for the second half of the time.
    fn streams(ladder: Ladder, streams: usize, inter_token_us: u64, seconds: f64) -> Self {
        let tokens = (seconds * 1e6 / inter_token_us as f64).ceil().max(2.0) as u32;
        let rate = streams as f64 / (RAMP * seconds);
        Self { ladder, rate, requests: streams, tokens, inter_token_us }
    }

    /// What is asked for, a second: requests, or tokens while all streams are open.
    pub(super) fn asked_per_second(&self) -> f64 {
        match self.ladder {
            Ladder::Requests => self.rate,
            _ => self.requests as f64 * 1e6 / self.inter_token_us.max(1) as f64,
        }
    }

    /// Most requests in flight.
    pub(super) fn most_in_flight(&self) -> u64 {
        self.requests as u64
    }

    /// The simulator's arguments.
    pub(super) fn arguments(&self) -> Vec<String> {
        let capacity = (self.requests + 1).to_string();
        let inter_token = format!("{}us", self.inter_token_us);
        ["--ttft", TTFT, "--inter-token", &inter_token, "--truth-capacity", &capacity]
            .map(str::to_owned)
            .into()
    }

    /// In words, for example `256 streams, a token every 10 ms`.
    pub(super) fn words(&self) -> String {
        match self.ladder {
            Ladder::Requests => format!("{:.0} requests/s", self.rate),
            _ => {
                format!("{} streams, a token every {} ms", self.requests, self.inter_token_us as f64 / 1000.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ladder_rises() {
        for ladder in Ladder::ALL {
            for quick in [true, false] {
                let rungs = Trial::rungs(ladder, quick);
                assert!(rungs.len() > 1);
                assert!(rungs.is_sorted_by(|a, b| a.asked_per_second() < b.asked_per_second()), "{rungs:?}");
                assert!(rungs.iter().all(|rung| rung.requests > 0 && rung.tokens > 0));
            }
        }
    }
}
