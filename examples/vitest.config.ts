export default {
  test: { env: { TOKEN_MS: '1' } }, // the chat's model, in milliseconds a token
};
