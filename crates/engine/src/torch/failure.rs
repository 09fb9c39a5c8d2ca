//! libtorch's exceptions in the engine's words: out of memory told apart from the rest, without the C++ backtrace.
//!
//! Refuses to know what was computed.

use ai_energy_backends_pytorch::protocol::EngineErrorKind;
use tch::TchError;

use crate::EngineError;

impl From<TchError> for EngineError {
    fn from(error: TchError) -> Self {
        match error {
            TchError::Torch(message) => from_message(&message),
            other => EngineError::new(EngineErrorKind::Internal, "libtorch", other.to_string()),
        }
    }
}

/// The error that a C++ exception's text means.
pub(super) fn from_message(message: &str) -> EngineError {
    let text = first_line(message);
    let lower = message.to_ascii_lowercase();
    let memory = [
        "out of memory",
        "can't allocate memory",
        "not enough memory",
        "bad_alloc",
        "cublas_status_alloc_failed",
    ];
    if memory.iter().any(|words| lower.contains(words)) {
        let remedy = "use a smaller batch, fewer tokens, a smaller torch_dtype, load_in_8bit or a device with more memory";
        return EngineError::new(EngineErrorKind::OutOfMemory, "memory", text).remedy(remedy);
    }
    EngineError::new(EngineErrorKind::Internal, "libtorch", text)
}

/// What a C++ exception says before its backtrace, without the place in the source.
fn first_line(message: &str) -> String {
    let message = message.split("\nException raised from").next().unwrap_or(message);
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no message");
    let line = match (line.starts_with('['), line.find("] ")) {
        (true, Some(end)) => &line[end + 2..],
        _ => line,
    };
    line.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_memory_is_told_apart_and_no_backtrace_is_shown() {
        let cpu = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to \
                   allocate 9 bytes. Error code 12 (Cannot allocate memory)\nException raised from alloc (most recent)\nframe #0";
        let error = from_message(cpu);
        assert_eq!(error.kind, EngineErrorKind::OutOfMemory);
        assert!(error.cause.starts_with("err == 0. DefaultCPUAllocator"), "{}", error.cause);
        assert!(!error.cause.contains("frame"));
        assert!(!error.remedy.is_empty());
        let other =
            from_message("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)\nException raised from x");
        assert_eq!(other.kind, EngineErrorKind::Internal);
        assert_eq!(other.cause, "mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)");
    }

    #[test]
    fn a_tensor_that_no_memory_holds_is_out_of_memory() {
        let error = tch::Tensor::f_zeros([1 << 50], (tch::Kind::Float, tch::Device::Cpu)).unwrap_err();
        assert_eq!(EngineError::from(error).kind, EngineErrorKind::OutOfMemory);
    }
}
