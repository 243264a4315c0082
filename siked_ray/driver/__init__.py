"""The driver actor: owns the state of a run, starts the stages, decides the mixture between iterations."""
