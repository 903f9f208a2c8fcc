"""The rule of ``models.quality`` for what is no frontal chest: what it is fitted and judged on."""
