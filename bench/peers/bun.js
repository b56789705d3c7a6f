// npm socket.io on Bun, with the engine its makers wrote for it.
//   bun bun.js PORT
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";

const io = new Server();
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
io.on("connection", (socket) => {
  socket.on("join", (room, answer) => {
    socket.join(room);
    answer();
  });
  socket.on("pub", (room, payload) => io.to(room).emit("msg", payload));
  socket.on("echo", (payload, answer) => answer(payload));
});
// Longer than the interval of its pings, as its documentation asks.
Bun.serve({ ...engine.handler(), port: Number(process.argv[2]), hostname: "127.0.0.1", idleTimeout: 30 });
console.log("ready");
