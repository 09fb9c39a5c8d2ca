//! Hydra's habits: the defaults list, groups, names, and other tools' sections.

mod common;

use std::path::PathBuf;

use ai_energy_config::Origin;
use common::{BackendType, DeviceIds, Folder, Settings, loader, shipped};

/// AI Energy Score's file, in the words of its own: nothing in it names a backend type outside the list.
const TEXT_GENERATION: &str = "\
defaults:
  - benchmark
  - backend: pytorch
  - launcher: process
  - scenario: energy_star
  - _base_
  - _self_

name: text_generation

launcher:
  device_isolation: True
  device_isolation_action: warn

backend:
  device: cuda
  device_ids: 0, 1, 2, 3, 4, 5, 6, 7
  no_weights: False
  task: text-generation
  model: some/model
  torch_dtype: bfloat16
  device_map: auto

scenario:
  dataset_name: EnergyStarAI/text_generation
  text_column_name: text
  num_samples: 1000
  truncation: True
  input_shapes:
    batch_size: 1
";

#[test]
fn a_foreign_hydra_file_loads_without_any_of_its_groups() {
    let folder = Folder::new(&[("text_generation.yaml", TEXT_GENERATION)]);
    // An empty folder for the groups, so that nothing of this project's own answers for them.
    let empty = Folder::new(&[]);
    let loaded = folder
        .loader("text_generation.yaml")
        .config_dir(Some(empty.root().to_owned()))
        .load::<Settings>()
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.value.backend.r#type, BackendType::Pytorch);
    assert_eq!(loaded.value.backend.device_ids, DeviceIds::Text("0, 1, 2, 3, 4, 5, 6, 7".into()));
    assert_eq!(loaded.value.backend.no_weights, Some(false));
    assert_eq!(loaded.value.scenario.num_samples, 1000);
    let path = folder.path("text_generation.yaml");
    let group = Origin::Group { group: "backend".into(), path: path.clone(), line: 3 };
    assert_eq!(loaded.origins["backend.type"], group);
    assert_eq!(loaded.origins["backend.device_ids"], Origin::File { path, line: 17 });
    let notes = loaded.notes.join("\n").replace(&format!("{}/", folder.root().display()), "");
    insta::assert_snapshot!(notes);
}

#[test]
fn every_shipped_config_loads() {
    let mut names: Vec<String> = Vec::new();
    for config in loader().config_dir(Some(shipped())).available() {
        let Some((group, choice)) = config.name.split_once('/') else {
            let loaded = loader()
                .config_dir(Some(shipped()))
                .config_name(Some(config.name.clone()))
                .load::<Settings>();
            let loaded = loaded.unwrap_or_else(|e| panic!("{}: {e}", config.name));
            assert_eq!(loaded.value.name, config.name);
            names.push(config.name);
            continue;
        };
        let arguments = vec![format!("{group}={choice}")];
        let loaded = loader().config_dir(Some(shipped())).overrides(arguments).load::<Settings>();
        assert!(loaded.is_ok(), "{}: {:?}", config.name, loaded.err());
        names.push(config.name);
    }
    for wanted in [
        "gpt_oss_120b",
        "pytorch_test",
        "pytorch_multigpu",
        "pytorch_validation",
        "text_generation",
        "quickstart",
        "backend/vllm",
        "backend/pytorch",
        "scenario/energy_star",
    ] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} is not among {names:?}");
    }
}

#[test]
fn shipped_configs_say_what_their_users_know() {
    let load = |name: &str| {
        let loaded =
            loader().config_dir(Some(shipped())).config_name(Some(name.to_owned())).load::<Settings>();
        loaded.unwrap_or_else(|e| panic!("{e}")).value
    };
    let test = load("pytorch_test");
    assert_eq!((test.backend.r#type, test.backend.model.as_str()), (BackendType::Pytorch, "microsoft/phi-2"));
    assert_eq!((test.scenario.num_samples, test.metrics.enabled), (3, false));
    assert_eq!(test.scenario.generate_kwargs["max_new_tokens"], 50);
    assert_eq!(test.scenario.generate_kwargs["min_new_tokens"], 10);
    let validation = load("pytorch_validation.yaml");
    assert_eq!(validation.scenario.num_samples, 1000);
    assert_eq!(validation.scenario.generate_kwargs["max_new_tokens"], 10);
    assert_eq!(load("pytorch_multigpu").backend.device_ids, DeviceIds::Many(vec![0, 1, 2, 3]));
    let energy_score = load("text_generation");
    assert_eq!(energy_score.backend.r#type, BackendType::Pytorch);
    assert_eq!(energy_score.scenario.dataset_name, "EnergyStarAI/text_generation");
    assert_eq!(energy_score.scenario.generate_kwargs["max_new_tokens"], 100);
    assert_eq!(load("quickstart").load.concurrency, 4);
}

#[test]
fn self_decides_whether_the_file_or_the_group_wins() {
    let group = ("backend/big.yaml", "model: group\ndevice: cpu\n");
    for (list, model) in [
        ("defaults: [{backend: big}]", "file"),
        ("defaults: [{backend: big}, _self_]", "file"),
        ("defaults: [_self_, {backend: big}]", "group"),
    ] {
        let folder = Folder::new(&[("c.yaml", &format!("{list}\nbackend:\n  model: file\n")), group]);
        let loaded = folder.loader("c.yaml").load::<Settings>().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.value.backend.model, model, "{list}");
        assert_eq!(loaded.value.backend.device, "cpu");
        // A choice that is no type leaves the type alone.
        assert_eq!(loaded.origins["backend.type"], Origin::Default);
        let place = Origin::Group { group: "backend".into(), path: folder.path("backend/big.yaml"), line: 2 };
        assert_eq!(loaded.origins["backend.device"], place);
    }
}

#[test]
fn packages_say_where_a_groups_content_goes() {
    let folder = Folder::new(&[
        (
            "c.yaml",
            "defaults:\n  - all: one\n  - scenario@metrics: two\n  - backend/three\n  - /four\n  - five@load: six\n",
        ),
        ("all/one.yaml", "# a comment\n# @package _global_\nname: global\nbackend: {device: cpu}\n"),
        ("scenario/two.yaml", "project_name: packaged\n"),
        ("backend/three.yaml", "model: by-path\n"),
        ("four.yaml", "output_dir: absolute\n"),
        ("five/six.yaml", "concurrency: 7\n"),
    ]);
    let value = folder.loader("c.yaml").load::<Settings>().unwrap_or_else(|e| panic!("{e}")).value;
    assert_eq!((value.name.as_str(), value.backend.device.as_str()), ("global", "cpu"));
    assert_eq!((value.metrics.project_name.as_str(), value.backend.model.as_str()), ("packaged", "by-path"));
    assert_eq!((value.output_dir.as_str(), value.load.concurrency), ("absolute", 7));
}

#[test]
fn lists_nest_replace_and_leave_out() {
    let folder = Folder::new(&[
        (
            "c.yaml",
            "defaults:\n  - base\n  - override backend: small\n  - optional scenario: nowhere\n  - metrics: null\n",
        ),
        ("base.yaml", "defaults:\n  - backend: big\nname: base\n"),
        ("backend/big.yaml", "defaults: [common]\nmodel: big\n"),
        ("backend/small.yaml", "defaults: [common]\nmodel: small\n"),
        ("backend/common.yaml", "device: cpu\nmodel: common\n"),
    ]);
    let loaded = folder.loader("c.yaml").load::<Settings>().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((loaded.value.name.as_str(), loaded.value.backend.model.as_str()), ("base", "small"));
    assert_eq!(loaded.value.backend.device, "cpu");
    assert_eq!(loaded.notes, Vec::<String>::new());
}

#[test]
fn a_circle_of_lists_is_an_error() {
    let folder = Folder::new(&[("a.yaml", "defaults: [b]\n"), ("b.yaml", "defaults: [a]\n")]);
    let errors = folder.errors(folder.loader("a.yaml").load());
    assert!(errors.starts_with("config file a.yaml: includes itself\n  hint: the chain"), "{errors}");
}

#[test]
fn arguments_choose_groups() {
    let folder = Folder::new(&[
        ("listed.yaml", "defaults: [{backend: vllm}]\nbackend: {type: vllm, model: mine}\n"),
        ("plain.yaml", "backend: {type: vllm, model: mine}\n"),
        ("scenario/tiny.yaml", "num_samples: 2\n"),
    ]);
    for name in ["listed.yaml", "plain.yaml"] {
        for argument in ["backend=pytorch", "+backend=pytorch", "++backend=pytorch"] {
            let loaded = folder
                .loader(name)
                .overrides(vec![argument.into(), "scenario=tiny".into()])
                .load::<Settings>();
            let loaded = loaded.unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(loaded.value.backend.r#type, BackendType::Pytorch, "{name} {argument}");
            assert_eq!(loaded.origins["backend.type"], Origin::Override { text: argument.into() });
            assert_eq!((loaded.value.backend.model.as_str(), loaded.value.scenario.num_samples), ("mine", 2));
        }
    }
    let wrong = folder.errors(
        folder.loader("plain.yaml").overrides(vec!["scenario=tyni".into(), "backend=optimum".into()]).load(),
    );
    assert!(
        wrong.contains(
            "override `scenario=tyni`: key `scenario`: the group has no config `tyni`\n  hint: there are tiny"
        ),
        "{wrong}"
    );
    assert!(
        wrong.contains(
            "override `backend=optimum`: key `backend.type`: expected `vllm` or `pytorch`, found `optimum`"
        ),
        "{wrong}"
    );
}

static EMBEDDED: ai_energy_config::Embedded = &[
    ("ours.yaml", "defaults: [{scenario: star}]\nname: ours\n"),
    ("scenario/star.yaml", "num_samples: 77\n"),
];

#[test]
fn embedded_configs_serve_where_the_disk_has_none() {
    let folder = Folder::new(&[]);
    let at = |folder: &Folder| loader().config_dir(Some(folder.root().to_owned())).embedded(EMBEDDED);
    let loaded = at(&folder)
        .config_name(Some("ours.yaml".into()))
        .load::<Settings>()
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((loaded.value.name.as_str(), loaded.value.scenario.num_samples), ("ours", 77));
    assert_eq!(loaded.origins["name"].to_string(), "built-in:ours.yaml:2");
    assert_eq!(loaded.file, Some(PathBuf::from("built-in:ours.yaml")));
    folder.write("ours.yaml", b"name: theirs\n");
    let loaded =
        at(&folder).config_name(Some("ours".into())).load::<Settings>().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.value.name, "theirs");
    let names: Vec<String> = at(&folder).available().into_iter().map(|a| a.name).collect();
    assert_eq!(names, ["ours", "scenario/star"]);
    let missing = at(&folder).config_name(Some("our".into())).load::<Settings>();
    assert!(folder.errors(missing).contains("did you mean `ours`?"));
}

#[test]
fn a_config_dir_that_is_none_and_a_config_named_twice_are_errors() {
    let folder = Folder::new(&[("c.yaml", "")]);
    let outcome = folder.loader("c.yaml").config_dir(Some(folder.path("nowhere"))).load();
    assert!(folder.errors(outcome).starts_with("config folder nowhere: is no folder"));
    let outcome = folder.loader("c.yaml").config_name(Some("c".into())).load();
    assert!(folder.errors(outcome).starts_with("both the config file c.yaml and the config name `c`"));
}

#[test]
fn other_tools_keys_are_noted_wherever_they_stand() {
    let folder = Folder::new(&[("c.yaml", "hydra: {run: {dir: x}}\nlog_report: true\nname: x\n")]);
    let arguments = vec!["hydra.run.dir=/tmp".into(), "launcher=torchrun".into(), "~print_report".into()];
    let loaded =
        folder.loader("c.yaml").overrides(arguments).load::<Settings>().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.notes.len(), 5, "{:?}", loaded.notes);
    assert!(loaded.notes.iter().all(|note| note.contains("ignored")));
    let strict = folder.loader("c.yaml").ignored(Vec::new()).load();
    assert!(folder.errors(strict).contains("c.yaml:1: key `hydra`: unknown key"));
}
