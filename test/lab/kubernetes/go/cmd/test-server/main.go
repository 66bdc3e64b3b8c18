// Command test-server is the workload of the lab's tests.
//
//	test-server serve [:8080]            answers with its pod's name; keeps lines written to it in DATA_DIR
//	test-server get URL [SECONDS]        prints the answer; tries again for that long (default 10)
//	test-server load URL SECONDS RATE    sends requests at a steady rate, one JSON line of counts at the end;
//	                                     exit status 1 when any was lost
//
// serve knows these paths: / (name, version), /healthz, /write?line=... (appended to DATA_DIR/lines and synced to disk
// before the answer), /lines (what was written), /proxy?url=... (fetches it: one pod reaching another).
// After SIGTERM it reports itself unhealthy, still answers for DRAIN_SECONDS (default 3), then ends.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// One connection a request: a test has to see every pod behind a service, not the first one's kept connection.
var client = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func main() {
	arguments := append(os.Args[1:], "", "", "", "")
	switch arguments[0] {
	case "serve":
		serve(withDefault(arguments[1], ":8080"))
	case "get":
		get(arguments[1], seconds(withDefault(arguments[2], "10")))
	case "load":
		load(arguments[1], seconds(withDefault(arguments[2], "10")), seconds(withDefault(arguments[3], "20")))
	default:
		fail("usage: test-server serve [ADDRESS] | get URL [SECONDS] | load URL SECONDS RATE")
	}
}

func serve(address string) {
	name, _ := os.Hostname()
	version := os.Getenv("VERSION")
	data := withDefault(os.Getenv("DATA_DIR"), "/tmp")
	var draining atomic.Bool
	var writing sync.Mutex

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, name, version)
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		writing.Lock()
		defer writing.Unlock()
		if err := appendSynced(filepath.Join(data, "lines"), r.FormValue("line")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "written")
	})
	mux.HandleFunc("/lines", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(data, "lines"))
	})
	mux.HandleFunc("/proxy", func(w http.ResponseWriter, r *http.Request) {
		body, err := fetch(r.FormValue("url"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, body)
	})

	server := &http.Server{Addr: address, Handler: mux}
	ended := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		draining.Store(true)
		time.Sleep(time.Duration(seconds(withDefault(os.Getenv("DRAIN_SECONDS"), "3"))) * time.Second)
		server.Shutdown(context.Background())
		close(ended)
	}()
	fmt.Println("listening on", address)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fail(err)
	}
	<-ended
}

func get(address string, patience int) {
	deadline := time.Now().Add(time.Duration(patience) * time.Second)
	for {
		body, err := fetch(address)
		if err == nil {
			fmt.Print(body)
			return
		}
		if time.Now().After(deadline) {
			fail(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func load(address string, duration, rate int) {
	var sent, answered atomic.Int64
	var waiting sync.WaitGroup
	var failures sync.Map
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for end := time.Now().Add(time.Duration(duration) * time.Second); time.Now().Before(end); <-ticker.C {
		number := sent.Add(1)
		waiting.Go(func() {
			began := time.Now()
			if _, err := fetch(address); err != nil {
				failures.Store(fmt.Sprint(number), fmt.Sprintf("request %d of %s: %v", number, began.Format("15:04:05.000"), err))
				return
			}
			answered.Add(1)
		})
	}
	waiting.Wait()
	errors := map[string]string{}
	failures.Range(func(number, err any) bool { errors[number.(string)] = err.(string); return true })
	json.NewEncoder(os.Stdout).Encode(map[string]any{"sent": sent.Load(), "answered": answered.Load(), "errors": errors})
	if len(errors) > 0 {
		os.Exit(1)
	}
}

func fetch(address string) (string, error) {
	if _, err := url.ParseRequestURI(address); err != nil {
		return "", err
	}
	var reached atomic.Value
	reached.Store("not connected")
	trace := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			reached.Store(fmt.Sprint("connected from ", info.Conn.LocalAddr()))
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { reached.Store("sent, not answered") },
	})
	request, err := http.NewRequestWithContext(trace, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w (%s)", err, reached.Load())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

func appendSynced(path, line string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := fmt.Fprintln(file, line); err != nil {
		return err
	}
	return file.Sync()
}

func seconds(text string) int {
	number, err := strconv.Atoi(text)
	if err != nil || number < 0 {
		fail("not a count: " + text)
	}
	return number
}

func withDefault(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func fail(reason any) {
	fmt.Fprintln(os.Stderr, "test-server:", reason)
	os.Exit(1)
}
