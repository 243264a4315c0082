"""Fine-tuning: a compute core in plain torch (packing, loss, step) and Ray Train + DeepSpeed around it."""
