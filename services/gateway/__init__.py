"""The only public door: routes by prefix, streams both ways, tells browsers about their jobs as it happens."""
