//! How many workers, and how large their batches: it follows from the device.
//!
//! Measured (ratios hold on AMD Zen 3 and Intel with AVX-512): on a CPU a batch of 8 is no faster a face than 8
//! batches of 1, and one session with two threads is slower than two sessions with one. So a CPU gets one
//! single-threaded session a core and never waits for company. A GPU is idle without batches: it gets a ladder of
//! sizes, each warmed at start, because a new shape costs a search for kernels.

use std::time::Duration;

use crate::config::{Device, Inference};

/// Largest batch on a GPU unless configured.
const GPU_BATCH: usize = 32;
/// Workers on a GPU unless configured: one fills a batch while the other's runs.
const GPU_WORKERS: usize = 2;
/// Longest wait for a GPU batch to fill unless configured.
const GPU_WAIT: Duration = Duration::from_millis(3);

/// The shape of the inference pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPlan {
    /// Workers, each with its own sessions and one thread. At least 1.
    pub workers: usize,
    /// Most crops handed to a worker at once. At least 1.
    pub max_batch: usize,
    /// Longest wait for more crops once one is there.
    pub max_wait: Duration,
    /// Batch sizes the model is run with, ascending, never empty; a batch is padded to the next of them.
    pub ladder: Vec<usize>,
}

impl PoolPlan {
    /// The plan for a device on a machine of `cores`, with what the configuration says taken as said.
    pub fn for_device(device: &Device, cores: usize, inference: &Inference) -> Self {
        let gpu = matches!(device, Device::Cuda(_) | Device::TensorRt(_));
        let workers = if gpu { GPU_WORKERS } else { cores };
        let batch = if gpu { GPU_BATCH } else { 1 };
        let wait = if gpu { GPU_WAIT } else { Duration::ZERO };
        let max_batch = inference.max_batch.unwrap_or(batch).max(1);
        Self {
            workers: inference.workers.unwrap_or(workers).max(1),
            max_batch,
            max_wait: inference.max_wait.unwrap_or(wait),
            // Off the GPU crops run one by one even if several are handed over: as fast, and the same bits each time.
            ladder: if gpu { ladder(max_batch) } else { vec![1] },
        }
    }

    /// The same for a model whose file fixes the batch: every run has that many.
    #[must_use]
    pub fn for_batch(mut self, fixed: Option<usize>) -> Self {
        if let Some(batch) = fixed {
            self.ladder = vec![batch.max(1)];
        }
        self
    }

    /// The step a number of crops is padded to; the largest if there are more.
    pub fn step(&self, crops: usize) -> usize {
        let larger = self.ladder.iter().copied().find(|&step| step >= crops);
        larger.or(self.ladder.last().copied()).unwrap_or(1)
    }
}

/// 1, 2, 4 ... and `most` itself.
fn ladder(most: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1usize), |step| step.checked_mul(2));
    powers.take_while(|&step| step < most).chain([most]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inference(workers: Option<usize>, max_batch: Option<usize>) -> Inference {
        Inference {
            device: Device::Cpu,
            workers,
            max_batch,
            max_wait: None,
            max_crop_age: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_cpu_gets_a_worker_a_core_and_never_waits() {
        for device in [Device::Cpu, Device::OpenVino] {
            let plan = PoolPlan::for_device(&device, 4, &inference(None, None));
            let expected = PoolPlan { workers: 4, max_batch: 1, max_wait: Duration::ZERO, ladder: vec![1] };
            assert_eq!(plan, expected);
        }
        let unknown = PoolPlan::for_device(&Device::Cpu, 0, &inference(None, None));
        assert_eq!(unknown.workers, 1);
    }

    #[test]
    fn a_gpu_gets_a_ladder_up_to_the_largest_batch() {
        let plan = PoolPlan::for_device(&Device::Cuda(0), 16, &inference(None, None));
        assert_eq!((plan.workers, plan.max_batch, plan.max_wait), (2, 32, Duration::from_millis(3)));
        assert_eq!(plan.ladder, [1, 2, 4, 8, 16, 32]);
        let odd = PoolPlan::for_device(&Device::TensorRt(0), 16, &inference(Some(1), Some(12)));
        assert_eq!((odd.workers, &odd.ladder[..]), (1, &[1, 2, 4, 8, 12][..]));
        assert_eq!([1, 3, 8, 9, 12, 40].map(|n| odd.step(n)), [1, 4, 8, 12, 12, 12]);
    }

    #[test]
    fn a_fixed_batch_is_the_only_step() {
        let plan = PoolPlan::for_device(&Device::Cuda(0), 8, &inference(None, None)).for_batch(Some(4));
        assert_eq!((plan.max_batch, [1, 4, 9].map(|n| plan.step(n))), (32, [4, 4, 4]));
    }

    #[test]
    fn what_is_configured_is_taken_but_never_zero() {
        let plan = PoolPlan::for_device(&Device::Cpu, 8, &inference(Some(3), Some(6)));
        assert_eq!((plan.workers, plan.max_batch, &plan.ladder[..]), (3, 6, &[1][..]));
        let zero = PoolPlan::for_device(&Device::Cuda(0), 8, &inference(Some(0), Some(0)));
        assert_eq!((zero.workers, zero.max_batch, &zero.ladder[..]), (1, 1, &[1][..]));
    }
}
