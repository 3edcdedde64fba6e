// Without a file here, vitest would take the project's own.
export default {};
