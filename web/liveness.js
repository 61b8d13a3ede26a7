// The web module: see liveness.d.ts.
