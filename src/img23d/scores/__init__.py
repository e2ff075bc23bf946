"""How a diffusion model pulls: noise schedules, samplers and guidance. Pure torch; the networks themselves are in `img23d.backends`."""
