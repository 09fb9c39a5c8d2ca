//! Which GPUs an engine may see, so that what computes and what is measured are the same.
//!
//! An engine sees only the GPUs that `backend.device_ids` names, by `CUDA_VISIBLE_DEVICES`; in it they are numbered from 0.
//! Where that variable is set for this program already, the numbers of a config count what it shows. NVML numbers GPUs by
//! their place on the bus, so CUDA is told to do the same. Refuses to know whether there are any.

use ai_energy_core::{Fault, FaultKind};
use serde_json::{Map, Value};

use crate::device_ids::DeviceIds;

/// The environment variable that shows GPUs to CUDA.
pub const VISIBLE_ENV: &str = "CUDA_VISIBLE_DEVICES";
pub(crate) const ORDER_ENV: &str = "CUDA_DEVICE_ORDER";

/// The GPUs of an engine, as `CUDA_VISIBLE_DEVICES` names them: numbers or UUIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpus {
    names: Vec<String>,
    /// Their numbers in the config.
    ids: Vec<u32>,
}

impl Gpus {
    /// The GPUs that `device` and `device_ids` mean where `visible` is the value of [`VISIBLE_ENV`]; none for a device that
    /// is no GPU.
    ///
    /// # Errors
    /// A number beyond what the variable shows, or a `device` that `device_ids` leaves out.
    pub fn choose(device: &str, device_ids: &DeviceIds, visible: Option<&str>) -> Result<Self, Fault> {
        let ids = match device.strip_prefix("cuda:").map(str::parse::<u32>) {
            _ if ["cpu", "mps"].contains(&device) => Vec::new(),
            Some(Ok(id)) => vec![one_of(id, device_ids)?],
            _ => device_ids.0.clone(),
        };
        let names = match visible {
            None => ids.iter().map(u32::to_string).collect(),
            Some(visible) => {
                let shown: Vec<&str> =
                    visible.split(',').map(str::trim).take_while(|name| names_a_gpu(name)).collect();
                // Nothing is shown: the engine finds that out by itself, and `auto` means the CPU then.
                if shown.is_empty() {
                    return Ok(Self { names: Vec::new(), ids: Vec::new() });
                }
                ids.iter().map(|&id| shown_as(id, &shown, visible)).collect::<Result<_, _>>()?
            }
        };
        Ok(Self { names, ids })
    }

    /// Their numbers or UUIDs, as NVML knows them too.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What the engine's environment says of them; `order` is the value of `CUDA_DEVICE_ORDER` in this program's.
    pub(crate) fn environment(&self, order: Option<&str>) -> Vec<(String, String)> {
        let mut set = vec![(VISIBLE_ENV.to_owned(), self.names.join(","))];
        if order.is_none() {
            set.push((ORDER_ENV.to_owned(), "PCI_BUS_ID".to_owned()));
        }
        set
    }

    /// The engine's name of a device: the GPUs it sees are numbered from 0.
    pub(crate) fn inside(&self, device: &str) -> String {
        if device.starts_with("cuda:") { "cuda:0".to_owned() } else { device.to_owned() }
    }

    /// The numbers of the GPUs inside the engine.
    pub(crate) fn inside_ids(&self) -> DeviceIds {
        let count = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        DeviceIds(if count == 0 { vec![0] } else { (0..count).collect() })
    }

    /// Most memory by device, with the config's numbers turned into the engine's.
    pub(crate) fn inside_key(&self, key: &str) -> String {
        let id = key.parse::<u32>().ok();
        let at = id.and_then(|id| self.ids.iter().position(|&known| known == id));
        at.map_or_else(|| key.to_owned(), |at| at.to_string())
    }

    /// The config's name of devices that the engine named, for example `cuda:2, cpu` for its `cuda:0, cpu`.
    pub(crate) fn outside(&self, devices: &str) -> String {
        let one = |device: &str| {
            let id = device.strip_prefix("cuda:").and_then(|id| id.parse::<usize>().ok());
            id.and_then(|id| self.ids.get(id)).map_or_else(|| device.to_owned(), |id| format!("cuda:{id}"))
        };
        devices.split(", ").map(one).collect::<Vec<_>>().join(", ")
    }

    /// [`Gpus::outside`] for every key and word of what an engine tells.
    pub(crate) fn outside_all(&self, value: Value) -> Value {
        match value {
            Value::String(word) => Value::String(self.outside(&word)),
            Value::Array(list) => list.into_iter().map(|value| self.outside_all(value)).collect(),
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .map(|(key, value)| (self.outside(&key), self.outside_all(value)))
                    .collect::<Map<_, _>>(),
            ),
            other => other,
        }
    }
}

/// CUDA ignores everything from the first word on that names no GPU.
fn names_a_gpu(name: &str) -> bool {
    name.parse::<u32>().is_ok() || name.starts_with("GPU-") || name.starts_with("MIG-")
}

fn one_of(id: u32, device_ids: &DeviceIds) -> Result<u32, Fault> {
    // The default list says nothing: it is there for `device: cuda`.
    if device_ids.0.contains(&id) || *device_ids == DeviceIds::default() {
        return Ok(id);
    }
    let cause = format!("`cuda:{id}` is not among backend.device_ids, which are {:?}", device_ids.0);
    Err(Fault::new(FaultKind::Usage, "backend.device", cause)
        .remedy(format!("add {id} to backend.device_ids, or use device: cuda")))
}

fn shown_as(id: u32, shown: &[&str], visible: &str) -> Result<String, Fault> {
    let name = usize::try_from(id).ok().and_then(|id| shown.get(id));
    name.map(|name| (*name).to_owned()).ok_or_else(|| {
        let cause =
            format!("GPU {id} is not there: {VISIBLE_ENV}={visible} shows {}, numbered from 0", shown.len());
        Fault::new(FaultKind::Usage, "backend.device_ids", cause)
            .remedy(format!("name GPUs below {}, or unset {VISIBLE_ENV}", shown.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn choose(device: &str, ids: &[u32], visible: Option<&str>) -> Result<Gpus, Fault> {
        Gpus::choose(device, &DeviceIds(ids.to_vec()), visible)
    }

    fn shown(gpus: &Gpus) -> String {
        gpus.environment(None)[0].1.clone()
    }

    #[test]
    fn the_engine_sees_what_the_config_names_and_nvml_measures_the_same() {
        let gpus = choose("cuda", &[2, 0], None).unwrap();
        assert_eq!((shown(&gpus).as_str(), gpus.names()), ("2,0", &["2".to_owned(), "0".to_owned()][..]));
        assert_eq!(gpus.environment(None)[1], ("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned()));
        assert_eq!(gpus.environment(Some("FASTEST_FIRST")).len(), 1, "what was set stays");
        assert_eq!(gpus.inside_ids(), DeviceIds(vec![0, 1]));
        assert_eq!((gpus.inside_key("0"), gpus.inside_key("cpu")), ("1".to_owned(), "cpu".to_owned()));
        let told = gpus.outside_all(json!({"layers": {"cuda:1": 3, "cpu": 1}, "device": "cuda:0, cuda:1"}));
        assert_eq!(told, json!({"layers": {"cuda:0": 3, "cpu": 1}, "device": "cuda:2, cuda:0"}));
    }

    #[test]
    fn numbers_count_what_the_environment_shows_already() {
        let gpus = choose("cuda", &[1], Some("5, 3")).unwrap();
        assert_eq!(shown(&gpus), "3");
        let named = choose("auto", &[0], Some("GPU-4f,1")).unwrap();
        assert_eq!(shown(&named), "GPU-4f");
        let fault = choose("cuda", &[2], Some("5,3")).unwrap_err();
        assert!(fault.cause.contains("CUDA_VISIBLE_DEVICES=5,3 shows 2"), "{fault}");
        assert_eq!(shown(&choose("auto", &[0], Some("")).unwrap()), "");
    }

    #[test]
    fn one_gpu_by_name_is_that_one_and_a_cpu_run_sees_none() {
        let gpus = choose("cuda:3", &[0], None).unwrap();
        assert_eq!((shown(&gpus).as_str(), gpus.inside("cuda:3").as_str()), ("3", "cuda:0"));
        assert_eq!(gpus.outside("cuda:0"), "cuda:3");
        assert_eq!(choose("cuda:1", &[2, 3], None).unwrap_err().object, "backend.device");
        assert_eq!(
            (shown(&choose("cpu", &[0], None).unwrap()), gpus.inside("cpu")),
            (String::new(), "cpu".to_owned())
        );
    }
}
