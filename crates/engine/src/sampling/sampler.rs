//! The choice of a token, one generation long.
//!
//! Each generation has its own random numbers, so that what else is in the batch changes nothing. Refuses to know text.

use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::Settings;
use super::candidates::Candidates;

/// Chooses the tokens of one generation.
#[derive(Debug, Clone)]
pub struct Sampler {
    settings: Settings,
    random: Option<ChaCha8Rng>,
    /// Tokens that are already there, each once; kept only where repetition is penalised.
    seen: Vec<u32>,
    is_seen: Vec<bool>,
    chosen: u32,
    candidates: Candidates,
}

impl Sampler {
    /// A sampler for a generation that goes on after `prompt`.
    pub fn new(settings: &Settings, prompt: &[u32]) -> Self {
        let random = settings.sampling.map(|sampling| ChaCha8Rng::seed_from_u64(sampling.seed));
        let mut sampler = Self {
            settings: settings.clone(),
            random,
            seen: Vec::new(),
            is_seen: Vec::new(),
            chosen: 0,
            candidates: Candidates::default(),
        };
        prompt.iter().for_each(|token| sampler.note(*token));
        sampler
    }

    /// `true` where the largest logit decides, so that [`Sampler::accept`] mostly spares copying logits.
    pub fn is_greedy(&self) -> bool {
        self.settings.sampling.is_none() && !self.penalises()
    }

    /// The token of the largest logit, if that settles the choice: `Some` is the chosen token and counts as chosen;
    /// `None` asks for [`Sampler::pick`] with the logits (drawing, a penalty, or an end token before its time).
    pub fn accept(&mut self, largest: u32) -> Option<u32> {
        let settled =
            self.is_greedy() && !(self.ends_are_forbidden() && self.settings.eos.contains(&largest));
        settled.then(|| self.choose(largest))
    }

    /// Chooses a token from the logits of the whole vocabulary, which are changed on the way. Logits that are no numbers
    /// count as impossible.
    pub fn pick(&mut self, logits: &mut [f32]) -> u32 {
        if self.penalises() {
            self.penalise(logits);
        }
        if self.ends_are_forbidden() {
            for end in &self.settings.eos {
                if let Some(logit) = logits.get_mut(*end as usize) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        let drawn = match (&self.settings.sampling, &mut self.random) {
            (Some(how), Some(random)) => {
                self.candidates.fill(logits, how);
                self.candidates.at(random.random::<f64>())
            }
            _ => None,
        };
        self.choose(drawn.unwrap_or_else(|| largest(logits)))
    }

    /// Tokens chosen so far.
    pub fn chosen(&self) -> u32 {
        self.chosen
    }

    /// `true` where the generation ends with this token, which was just chosen, or with the number of tokens.
    pub fn is_last(&self, token: u32) -> bool {
        self.settings.is_end(token) || self.chosen >= self.settings.max_new_tokens
    }

    /// How the generation is done.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn choose(&mut self, token: u32) -> u32 {
        self.chosen += 1;
        self.note(token);
        token
    }

    fn penalises(&self) -> bool {
        (self.settings.repetition_penalty - 1.0).abs() > f32::EPSILON
    }

    fn ends_are_forbidden(&self) -> bool {
        self.chosen < self.settings.min_new_tokens
    }

    fn penalise(&self, logits: &mut [f32]) {
        let penalty = self.settings.repetition_penalty;
        for token in &self.seen {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
            }
        }
    }

    fn note(&mut self, token: u32) {
        if !self.penalises() {
            return;
        }
        let at = token as usize;
        if at >= self.is_seen.len() {
            self.is_seen.resize(at + 1, false);
        }
        if !std::mem::replace(&mut self.is_seen[at], true) {
            self.seen.push(token);
        }
    }
}

/// The token of the largest logit, the first of equal ones.
fn largest(logits: &[f32]) -> u32 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (token, logit) in logits.iter().enumerate() {
        if *logit > best.0 {
            best = (*logit, token as u32);
        }
    }
    best.1
}
