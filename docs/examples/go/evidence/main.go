// A backend that receives evidence: it verifies the sender and keeps the best picture for the
// verdict that follows. It needs only Go's standard library.
//
//	EVIDENCE_SECRET=whsec_… PORT=3000 go run .
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBody = 24 << 20
	maxAge  = 5 * time.Minute
)

// Picture is the stored part of a delivery. It shows a face: delete it when it is no longer needed.
type Picture struct {
	UserIssuer, User, Base64 string
}

// Receiver accepts deliveries.
type Receiver struct {
	key   []byte
	mutex sync.Mutex
	// By the verdict's `jti`.
	evidence map[string]Picture
}

// genuine reports whether the gateway sent these bytes recently. `body` must be as received.
func (r *Receiver) genuine(header http.Header, body []byte) bool {
	id, sent := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(sent, 10, 64)
	if id == "" || err != nil {
		return false
	}
	if age := time.Since(time.Unix(seconds, 0)); age > maxAge || age < -maxAge {
		return false
	}
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%s.", id, sent)
	mac.Write(body)
	wanted := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal(wanted, []byte(given)) {
			return true
		}
	}
	return false
}

func (r *Receiver) take(request *http.Request) int {
	if request.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	body, err := io.ReadAll(io.LimitReader(request.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return http.StatusRequestEntityTooLarge
	}
	if !r.genuine(request.Header, body) {
		return http.StatusUnauthorized
	}
	var delivery struct {
		ID     string `json:"id"`
		User   string `json:"user"`
		Issuer string `json:"issuer"`
		Passed bool   `json:"passed"`
		Answer struct {
			Result *struct {
				Best struct {
					Picture string `json:"pic"`
				} `json:"best_image"`
			} `json:"result"`
		} `json:"answer"`
	}
	// The signed id must be the id in the body.
	if err := json.Unmarshal(body, &delivery); err != nil || delivery.ID != request.Header.Get("webhook-id") {
		return http.StatusBadRequest
	}
	picture := Picture{UserIssuer: delivery.Issuer, User: delivery.User}
	if result := delivery.Answer.Result; result != nil {
		picture.Base64 = result.Best.Picture
	}
	r.mutex.Lock()
	// A repeated delivery changes nothing.
	if _, there := r.evidence[delivery.ID]; !there {
		r.evidence[delivery.ID] = picture
	}
	r.mutex.Unlock()
	fmt.Printf("took %s passed=%t picture=%t\n", delivery.ID, delivery.Passed, picture.Base64 != "")
	return http.StatusNoContent
}

func main() {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("EVIDENCE_SECRET"), "whsec_"))
	if err != nil || len(key) == 0 {
		log.Fatal("EVIDENCE_SECRET must be whsec_ and base64")
	}
	receiver := &Receiver{key: key, evidence: map[string]Picture{}}
	http.HandleFunc("/liveness", func(answer http.ResponseWriter, request *http.Request) {
		answer.WriteHeader(receiver.take(request))
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	server := http.Server{ReadTimeout: 30 * time.Second}
	log.Fatal(server.Serve(listener))
}
