export default { reactCompiler: true, turbopack: { root: import.meta.dirname } };
