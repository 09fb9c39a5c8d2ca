//! What a plan sends: the prompts of its steps, and others for what is not measured.
//!
//! Refuses to plan and to format.

use ai_energy_core::load::LoadPlan;
use ai_energy_core::{LoadProgress, LoadedPrompts, PhaseKind, Prompt};
use ai_energy_datasets::{Sized, made_to_size, set_outputs, stand_ins};

use crate::exit::CliError;
use crate::load_plan;
use crate::settings::Settings;

/// Most stand-ins that are made; a longer warm-up goes round them.
const MOST_STAND_INS: usize = 256;

/// Keeps stand-ins apart from synthetic prompts of the same seed.
const STAND_IN_SEED: u64 = 0x57a2_d125;

/// What a plan sends.
#[derive(Debug)]
pub struct Workload {
    /// The measured prompts in the order they are sent.
    pub prompts: LoadedPrompts,
    /// Prompts for warm-up and cool-down, which share nothing with the measured ones.
    pub spare: Vec<Prompt>,
}

/// Loads or makes the prompts. `named` says whether somebody named a dataset: a profile makes its own otherwise.
///
/// # Errors
/// The dataset cannot be loaded.
pub async fn load(
    settings: &Settings,
    plan: &LoadPlan,
    named: bool,
    progress: &dyn LoadProgress,
) -> Result<Workload, CliError> {
    let options = &settings.scenario.dataset;
    let sized = sized(settings);
    let made = !sized.is_empty() && !named;
    let mut prompts = if made {
        let name =
            settings.load.profile.as_deref().map_or("synthetic".to_owned(), |name| format!("profile {name}"));
        made_to_size(&name, &sized, &options.synthetic)
    } else {
        let wanted = if sized.is_empty() { wanted(settings, plan) } else { total(&sized) };
        let dataset = ai_energy_datasets::open(options)?;
        let mut loaded = dataset.load(wanted, progress).await?;
        set_outputs(&mut loaded.prompts, &sized, options.synthetic.seed);
        loaded
    };
    prompts.warnings.extend(reuse(plan, prompts.prompts.len()));
    let unmeasured = plan.steps().iter().any(|step| step.kind != PhaseKind::Load);
    let few = &prompts.prompts[..prompts.prompts.len().min(MOST_STAND_INS)];
    let spare = if unmeasured { stand_ins(few, STAND_IN_SEED) } else { Vec::new() };
    Ok(Workload { prompts, spare })
}

/// The sizes of the steps' prompts; empty where no step says any.
fn sized(settings: &Settings) -> Vec<Sized> {
    let steps = load_plan::steps(&settings.load);
    if steps.iter().all(|step| step.input_tokens.is_none() && step.output_tokens.is_none()) {
        return Vec::new();
    }
    let sized = steps.iter().map(|step| Sized {
        requests: step.requests.unwrap_or(settings.scenario.dataset.num_samples),
        input_tokens: step.input_tokens,
        output_tokens: step.output_tokens,
    });
    sized.collect()
}

fn total(sized: &[Sized]) -> usize {
    sized.iter().map(|step| step.requests).sum()
}

/// How many prompts to load: as many as the steps send where each says a number, else what the scenario says.
fn wanted(settings: &Settings, plan: &LoadPlan) -> usize {
    let counts: Option<Vec<usize>> = plan.measured().map(|(_, step)| step.requests).collect();
    match counts {
        Some(counts) if !counts.is_empty() => counts.iter().sum(),
        _ => settings.scenario.dataset.num_samples,
    }
}

/// Says where prompts have to be sent more than once: nothing is repeated silently.
fn reuse(plan: &LoadPlan, prompts: usize) -> Option<String> {
    let mut left = prompts;
    let mut by_time = false;
    for (number, step) in plan.measured() {
        let open = ai_energy_core::load::instants(&step, plan.seed, number, left).len();
        let sent = match step.requests {
            _ if open > 0 => open,
            Some(requests) => requests,
            None if step.duration_seconds.is_none() => left,
            None => {
                by_time = true;
                continue;
            }
        };
        if sent > left {
            return Some(format!(
                "{prompts} prompts are sent more than once, since the load takes more requests: a prefix cache of the \
                 server may answer; raise scenario.num_samples"
            ));
        }
        left -= sent;
    }
    by_time.then(|| {
        format!(
            "the load goes round its {prompts} prompts until its time is over: a prefix cache of the server may answer what \
             was sent before; raise scenario.num_samples"
        )
    })
}
