//! Whether a run can succeed against a server, looked at before it starts.
//!
//! Asks in the order in which things fail: reachable, key accepted, model served, one token generated. The first
//! thing that would make a run fail is said with what to do about it. Refuses to measure: the latencies it mentions
//! are for the reader.

use ai_energy_core::Stop;
use ai_energy_core::backend::{Backend, Check, CheckOutcome, Request, Tally};
use ai_energy_core::record::{ErrorClass, RequestError};
use ai_energy_core::{Clock, Fault, FaultKind, FormattedPrompt, GenerationParams, PromptContent};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Instant;

use crate::backend::VllmBackend;
use crate::client::{Answer, Client};
use crate::identity::{Identity, Model, Models, nearest};
use crate::options::{Options, ServerOptions};

/// What to do where a server does not say what it serves.
const NAME_IT: &str = "name the model, for example with --model";

/// The names of the models that a server lists, for a user who named none.
///
/// # Errors
/// The options cannot be used, the server cannot be reached, or it lists no models.
pub async fn served_models(options: &Options) -> Result<Vec<String>, Fault> {
    let client = Client::new(options)?;
    let answer = client.ask(&client.endpoint().api("/models")).await.map_err(|error| {
        if tolerable(&error) {
            return server_fault(&client, format!("does not list its models ({})", error.message))
                .remedy(NAME_IT);
        }
        fault_of(&client, &options.server, &options.model, &error)
    })?;
    let names: Vec<String> = models(&answer).into_iter().map(|model| model.id).collect();
    if names.is_empty() {
        return Err(server_fault(&client, "lists no models").remedy(NAME_IT));
    }
    Ok(names)
}

pub(crate) async fn validate(backend: &VllmBackend) -> Result<Vec<Check>, Fault> {
    let mut checks = Vec::new();
    let client = &backend.client;
    let asked = Instant::now();
    let listed = client.ask(&client.endpoint().api("/models")).await;
    match listed {
        Ok(answer) => {
            checks.push(check(
                "server reachable",
                CheckOutcome::Ok,
                format!("{}, {}", client.endpoint().shown(), ms(asked)),
            ));
            let models = models(&answer);
            let identity =
                identify(client, &answer, models.iter().find(|model| model.answers_to(&backend.model))).await;
            backend.identity(|known| *known = identity);
            checks.push(model_check(backend, &models)?);
        }
        Err(error) if tolerable(&error) => {
            let outcome = CheckOutcome::Warning;
            checks.push(check(
                "server reachable",
                CheckOutcome::Ok,
                format!("{}, {}", client.endpoint().shown(), ms(asked)),
            ));
            checks.push(check(
                "model served",
                outcome,
                format!("the server does not list its models ({})", error.message),
            ));
        }
        Err(error) => return Err(fault_of(client, &backend.options, &backend.model, &error)),
    }
    if let Some(server) = backend.info().server {
        checks.push(check("server", CheckOutcome::Ok, server));
    }
    checks.push(one_token(backend).await?);
    if let Some(host) = client.reads_credentials() {
        let detail = format!("sent unencrypted to {host}: use https");
        let name = if client.endpoint().basic.is_some() { "credentials" } else { "API key" };
        checks.push(check(name, CheckOutcome::Warning, detail));
    }
    let identity = backend.identity(|identity| identity.clone());
    if identity.llama_cpp {
        let detail =
            "llama.cpp ignores min_new_tokens; set ignore_eos for answers of a fixed length".to_owned();
        checks.push(check("fixed length", CheckOutcome::Warning, detail));
    }
    if identity.synthetic {
        checks.push(check(
            "real model",
            CheckOutcome::Warning,
            "a simulator: every report says synthetic".to_owned(),
        ));
    }
    Ok(checks)
}

fn check(name: &str, outcome: CheckOutcome, detail: String) -> Check {
    Check { name: name.to_owned(), outcome, detail }
}

fn ms(since: Instant) -> String {
    format!("{:.0} ms", since.elapsed().as_secs_f64() * 1e3)
}

/// The models of an answer; none where it is no model list.
fn models(answer: &Answer) -> Vec<Model> {
    serde_json::from_slice::<Models>(&answer.body).map(|models| models.data).unwrap_or_default()
}

/// Routes that are missing or broken while the server can still generate (transformers serve answers 500).
fn tolerable(error: &RequestError) -> bool {
    matches!(
        error.class,
        ErrorClass::NotFound | ErrorClass::BadRequest | ErrorClass::Server | ErrorClass::Protocol
    ) && error.status.is_some()
}

async fn identify(client: &Client, listed: &Answer, model: Option<&Model>) -> Identity {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    #[derive(Deserialize)]
    struct Props {
        build_info: String,
    }
    let mut identity = Identity::default();
    identity.learn_headers(&listed.headers);
    for model in model.into_iter().chain(&models(listed)) {
        identity.learn_model(model);
        if identity.context.is_some() {
            break;
        }
    }
    if identity.llama_cpp {
        if let Ok(answer) = client.ask(&client.endpoint().beside("/props")).await
            && let Ok(props) = serde_json::from_slice::<Props>(&answer.body)
        {
            identity.learn_version(&props.build_info);
        }
    } else if let Ok(answer) = client.ask(&client.endpoint().beside("/version")).await
        && let Ok(version) = serde_json::from_slice::<Version>(&answer.body)
    {
        identity.learn_version(&version.version);
    }
    identity
}

fn model_check(backend: &VllmBackend, models: &[Model]) -> Result<Check, Fault> {
    let wanted = &backend.model;
    if models.is_empty() {
        return Ok(check("model served", CheckOutcome::Warning, "the server lists no models".to_owned()));
    }
    if models.iter().any(|model| model.answers_to(wanted)) {
        return Ok(check("model served", CheckOutcome::Ok, wanted.clone()));
    }
    let names: Vec<String> = models.iter().map(|model| model.id.clone()).collect();
    let list = names.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
    let more = if names.len() > 20 { format!(" and {} more", names.len() - 20) } else { String::new() };
    let remedy = match nearest(wanted, &names) {
        Some(near) => format!("did you mean `{near}`? served here: {list}{more}"),
        None => format!("set backend.model to one that is served here: {list}{more}"),
    };
    let cause = format!("is not served at {}", backend.client.endpoint().shown());
    Err(Fault::new(FaultKind::Backend, format!("model `{wanted}`"), cause).remedy(remedy))
}

/// Generates one token as the run will: same route, same streaming.
async fn one_token(backend: &VllmBackend) -> Result<Check, Fault> {
    let prompt = FormattedPrompt::plain(PromptContent::Text("Hello".to_owned()));
    let params = GenerationParams {
        max_new_tokens: Some(1),
        min_new_tokens: None,
        temperature: None,
        top_p: None,
        top_k: None,
        ..GenerationParams::default()
    };
    let request = Request {
        id: "validate".to_owned(),
        prompt: Arc::new(prompt),
        params: Arc::new(params),
        stop: Stop::new(),
    };
    let clock = Clock::start();
    let generation = backend.generate(&request, &clock, &Tally::default()).await;
    let name = "one token generated";
    match &generation.error {
        None => {
            let sent = generation.sent.unwrap_or_default();
            let end = generation.end.since(sent).as_secs_f64() * 1e3;
            let detail = match generation.first_token {
                Some(first) => {
                    let first = first.since(sent).as_secs_f64() * 1e3;
                    format!("first token after {first:.0} ms, end after {end:.0} ms")
                }
                None => format!("end after {end:.0} ms"),
            };
            Ok(check(name, CheckOutcome::Ok, detail))
        }
        Some(error) if error.class == ErrorClass::Empty => {
            let detail = "the server answered, but its one token has no text".to_owned();
            Ok(check(name, CheckOutcome::Warning, detail))
        }
        Some(error) => Err(fault_of(&backend.client, &backend.options, &backend.model, error)),
    }
}

fn server_fault(client: &Client, cause: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Backend, format!("server {}", client.endpoint().shown()), cause)
}

/// What to do about an error of a request.
fn fault_of(client: &Client, options: &ServerOptions, model: &str, error: &RequestError) -> Fault {
    let fault = server_fault(client, error.message.clone());
    let shown = client.endpoint().shown();
    match error.class {
        ErrorClass::Connect if error.message.contains("refused") => {
            fault.remedy("is the server running? start it, or give its address as the endpoint")
        }
        ErrorClass::Connect if error.message.contains("resolved") => {
            fault.remedy("check the endpoint's host name")
        }
        ErrorClass::Connect | ErrorClass::ConnectTimeout => {
            fault.remedy(format!("check that {shown} is the right address and reachable from here"))
        }
        ErrorClass::Auth => fault.remedy(auth_remedy(&options.api_key_env)),
        ErrorClass::NotFound => fault.remedy(format!(
            "check the endpoint's path and that it serves the model `{model}`, and backend.server.api"
        )),
        ErrorClass::FirstTokenTimeout | ErrorClass::StallTimeout | ErrorClass::TotalTimeout => fault
            .remedy("see whether the server is still loading or busy; raise the limit if it is merely slow"),
        ErrorClass::BadRequest if !error.message.contains("backend.server.") => fault
            .remedy("change what the message names; backend.server.omit leaves fields out of the request"),
        ErrorClass::RateLimited => fault.remedy("wait, or ask the server's owner for a higher limit"),
        ErrorClass::Server => fault.remedy("look at the server's own log"),
        ErrorClass::Protocol | ErrorClass::Truncated => fault
            .remedy("check that the endpoint is an OpenAI-compatible API, and look at the server's own log"),
        _ => fault,
    }
}

fn auth_remedy(variable: &str) -> String {
    if variable.is_empty() {
        return "name the environment variable with the key in backend.server.api_key_env".to_owned();
    }
    match std::env::var(variable) {
        Ok(key) if !key.trim().is_empty() => {
            format!("the key in {variable} is not accepted; set it to a valid one")
        }
        _ => format!("set the environment variable {variable} to the server's API key"),
    }
}
