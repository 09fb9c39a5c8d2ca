//! Loads with a name: the profiles of the Python package's `ai-energy-profile`, as data.
//!
//! Refuses to know how prompts of a length are made.

/// One step of a profile: a closed loop of so many requests, with lengths spread evenly between two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileStep {
    /// Its name.
    pub name: &'static str,
    /// Requests in flight at a time.
    pub concurrency: usize,
    /// How many requests.
    pub requests: usize,
    /// Fewest and most tokens of a prompt.
    pub input_tokens: (u32, u32),
    /// Fewest and most tokens to generate.
    pub output_tokens: (u32, u32),
}

/// A load with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The name that `load.profile` takes.
    pub name: &'static str,
    /// Its steps, one after another.
    pub steps: &'static [ProfileStep],
}

const fn step(
    name: &'static str,
    (concurrency, requests): (usize, usize),
    input_tokens: (u32, u32),
    output_tokens: (u32, u32),
) -> ProfileStep {
    ProfileStep { name, concurrency, requests, input_tokens, output_tokens }
}

const LIGHT: ((u32, u32), (u32, u32)) = ((100, 300), (500, 1000));
const MODERATE: ((u32, u32), (u32, u32)) = ((200, 400), (1000, 1500));
const HEAVY: ((u32, u32), (u32, u32)) = ((300, 500), (1500, 2000));
const STRESS: ((u32, u32), (u32, u32)) = ((200, 600), (1000, 3000));

/// All profiles.
pub const PROFILES: [Profile; 10] = [
    Profile { name: "light", steps: &[step("light", (2, 20), LIGHT.0, LIGHT.1)] },
    Profile { name: "moderate", steps: &[step("moderate", (4, 40), MODERATE.0, MODERATE.1)] },
    Profile { name: "heavy", steps: &[step("heavy", (8, 80), HEAVY.0, HEAVY.1)] },
    Profile { name: "stress", steps: &[step("stress", (24, 240), STRESS.0, STRESS.1)] },
    Profile {
        name: "multiphase",
        steps: &[
            step("light", (2, 10), LIGHT.0, LIGHT.1),
            step("moderate", (4, 20), MODERATE.0, MODERATE.1),
            step("stress", (24, 48), STRESS.0, STRESS.1),
        ],
    },
    Profile {
        name: "pattern",
        steps: &[
            step("step 1", (2, 20), (100, 300), (500, 1000)),
            step("step 2", (8, 40), (200, 400), (1000, 1500)),
            step("step 3", (24, 80), (600, 1000), (3000, 6000)),
            step("step 4", (56, 120), (1000, 5000), (1000, 3000)),
        ],
    },
    Profile {
        name: "power_test",
        steps: &[
            step("step 1", (2, 120), (100, 300), (500, 1000)),
            step("step 2", (4, 240), (200, 400), (1000, 1500)),
            step("step 3", (8, 480), (300, 500), (1500, 2000)),
            step("step 4", (20, 600), (50, 200), (3000, 6000)),
        ],
    },
    Profile { name: "short_tokens", steps: &[step("short tokens", (4, 20), (50, 150), (50, 150))] },
    Profile {
        name: "long_input_short_output",
        steps: &[step("long input, short output", (4, 20), (1000, 2000), (50, 150))],
    },
    Profile { name: "long_tokens", steps: &[step("long tokens", (4, 20), (1000, 2000), (1000, 2000))] },
];

impl Profile {
    /// The profile of this name.
    pub fn named(name: &str) -> Option<&'static Profile> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// All names, for schemas and messages.
    pub fn names() -> Vec<&'static str> {
        PROFILES.iter().map(|profile| profile.name).collect()
    }
}
