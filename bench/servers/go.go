// The standard library alone: a handler with a ticker.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	tickMs, err := strconv.Atoi(os.Getenv("TICK_MS"))
	if err != nil {
		tickMs = 1000
	}
	http.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		flusher := w.(http.Flusher)
		flusher.Flush()
		ticker := time.NewTicker(time.Duration(tickMs) * time.Millisecond)
		defer ticker.Stop()
		for count := 1; ; count++ {
			select {
			case <-r.Context().Done():
				return
			case <-ticker.C:
				fmt.Fprintf(w, "id: %d\ndata: %d\n\n", count, count)
				flusher.Flush()
			}
		}
	})
	listener, err := net.Listen("tcp", ":"+os.Getenv("PORT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://localhost:%d\n", listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, nil)
}
