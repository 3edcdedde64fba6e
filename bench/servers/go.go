// The standard library: a handler with a ticker.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	http.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		flusher := w.(http.Flusher)
		flusher.Flush()
		ticker := time.NewTicker(time.Second)
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://localhost:%d\n", listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, nil)
}
