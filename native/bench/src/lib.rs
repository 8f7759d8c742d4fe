//! Nothing: the benchmarks are in `benches`. A package of their own, so that tests of the core are built without
//! what only measures.
