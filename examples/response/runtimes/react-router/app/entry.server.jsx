// The app has no page: a loader without a component answers with its own Response.
export default () => new Response('', { status: 404 });
